import { Redactor } from '../base/redact.ts'
import { secretForms } from '../base/secret-forms.ts'
import {
  innerSecrets,
  isHost,
  isNumber,
  isPath,
  isSecretName,
  isUrl,
  isWord,
  MIN_GUESSED,
  ofWebhook,
  secretParts,
} from './secret-parts.ts'

type Environment = Readonly<Record<string, string | undefined>>

export interface SecretSources {
  /** The daemon's own, which a child can read as well (/proc), and what its profile sets. */
  readonly environment: Environment
  /** Names of variables whose values are secret whatever they look like. */
  readonly named: readonly string[]
  /** Values that are secret wherever they come from: the passwords of Redis. */
  readonly values: readonly (string | undefined)[]
}

/** What somebody named a secret is one; but one of three characters would take every text apart. */
const MIN_NAMED = 4
/** Of a secret of several lines, a key say, those of this length are secret by themselves: they come in other frames. */
const MIN_LINE = 16

/** git's way to be configured by variables: the name of an option. */
const NO_SECRET_NAME = /^GIT_CONFIG_KEY_\d+$/
/** They hold a path by their nature: the shell's folders, the socket of the ssh agent. */
const PATH_NAMES = ['PWD', 'OLDPWD', 'SSH_AUTH_SOCK']
/** Names whose values say of what kind a secret is, or for whom: a word among them is none. */
const ABOUT_SECRETS =
  /_(TYPE|MODE|DOMAIN|HOST|METHOD|SCHEME|KIND|PROVIDER|BACKEND|STORE|ALGORITHM|FORMAT|ENABLED|REQUIRED|NAME|USER|SAMESITE|POLICY|PLUGIN|STRATEGY)$/i

/** Takes the secrets out of whatever a run says. */
export function secretRedactor(sources: SecretSources): Redactor {
  return new Redactor(secretValues(sources).flatMap(secretForms))
}

/** The values that are secret, each once. */
export function secretValues({ environment, named, values }: SecretSources): string[] {
  const given = [...values, ...named.map((name) => environment[name])].map((value) => value?.trim() ?? '')
  const certain = given.filter(isLongEnough).flatMap((value) => [value, ...within(value)])
  const guessed = Object.entries(environment).flatMap(([name, value]) => guess(name, value?.trim() ?? ''))
  return [...new Set([...certain, ...guessed].flatMap(withLines))]
}

/** Why a variable that was named a secret keeps nothing out, a sentence each. */
export function uselessNames({ environment, named }: Pick<SecretSources, 'environment' | 'named'>): string[] {
  return named.flatMap((name) => {
    const value = environment[name]?.trim()
    if (value === undefined) return [`The variable ${name} is not set: there is nothing to redact`]
    if (isLongEnough(value)) return []
    return [`The value of ${name} has less than ${MIN_NAMED} characters and is not redacted`]
  })
}

function isLongEnough({ length }: string): boolean {
  return length >= MIN_NAMED
}

function guess(name: string, value: string): string[] {
  if (value.length < MIN_GUESSED) return []
  const parts = [...secretParts(value), ...ofWebhook(name, value)]
  if (!isSecretName(name) || NO_SECRET_NAME.test(name) || isNoSecret(name, value)) return parts
  return [value, ...within(value), ...parts]
}

function isNoSecret(name: string, value: string): boolean {
  if (isUrl(value) || isNumber(value) || isPath(value)) return true
  if (PATH_NAMES.includes(name)) return value.startsWith('/')
  return ABOUT_SECRETS.test(name) && (isWord(value) || isHost(value))
}

/** The pieces of a secret that are secret alone. */
function within(value: string): string[] {
  return [...innerSecrets(value), ...secretParts(value)]
}

function withLines(secret: string): string[] {
  if (!secret.includes('\n')) return [secret]
  const lines = secret.split('\n').map((line) => line.trim())
  // The frame of a key (-----BEGIN …) is the same for all.
  return [secret, ...lines.filter((line) => line.length >= MIN_LINE && !line.startsWith('-----'))]
}
