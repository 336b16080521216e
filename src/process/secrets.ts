import { Redactor } from '../base/redact.ts'
import { secretForms } from '../base/secret-forms.ts'

type Environment = Readonly<Record<string, string | undefined>>

export interface SecretSources {
  /** The daemon's own, which a child can read as well (/proc), and what its profile sets. */
  readonly environment: Environment
  /** Names of variables whose values are secret whatever they look like. */
  readonly named: readonly string[]
  /** Values that are secret wherever they come from: the passwords of Redis. */
  readonly values: readonly (string | undefined)[]
}

/** Shorter ones are ordinary words too often to be taken for secrets by the name of their variable alone. */
const MIN_GUESSED = 8
/** What somebody named a secret is one; but one of three characters would take every text apart. */
const MIN_NAMED = 4
/** Of a secret of several lines, a key say, those of this length are secret by themselves: they come in other frames. */
const MIN_LINE = 16

const SECRET_NAME =
  /TOKEN(S?_|S?$)|SECRET|PASSW(OR)?D|PASSPHRASE|CREDENTIAL|BEARER|KEY$|(^|_)(KEY|AUTH|PASS|PWD|PAT|JWT|COOKIE)S?(_|$)/i
/** git's way to be configured by variables: the name of an option. */
const NO_SECRET_NAME = /^GIT_CONFIG_KEY_\d+$/

const NUMBER = /^[-+]?[\d.,_]+$/
const PATH = /^(~|\.{1,2})\/|^\/([a-z]{2,12}|[A-Z][a-z]{2,12})(\/|$)/
const URL = /^[a-z][a-z0-9+.-]*:\/\//i
const LOGIN = /^[a-z][a-z0-9+.-]*:\/\/(?<user>[^\s/?#@:]*):(?<password>[^\s/?#@]+)@/i

/** Takes the secrets out of whatever a run says. */
export function secretRedactor(sources: SecretSources): Redactor {
  return new Redactor(secretValues(sources).flatMap(secretForms))
}

/** The values that are secret, each once. */
export function secretValues({ environment, named, values }: SecretSources): string[] {
  const given = [...values, ...named.map((name) => environment[name])].flatMap((value) => value ?? [])
  const guessed = Object.entries(environment).flatMap(([name, value]) => guess(name, value?.trim() ?? ''))
  const all = [...given.map((value) => value.trim()).filter(isLongEnough), ...guessed]
  return [...new Set(all.flatMap(withLines))]
}

function isLongEnough({ length }: string): boolean {
  return length >= MIN_NAMED
}

function guess(name: string, value: string): string[] {
  if (value.length < MIN_GUESSED) return []
  if (URL.test(value)) return passwordOf(value)
  if (!SECRET_NAME.test(name) || NO_SECRET_NAME.test(name)) return []
  return NUMBER.test(value) || PATH.test(value) ? [] : [value]
}

/** The password in a URL, as it stands there and decoded. */
function passwordOf(url: string): string[] {
  const { user, password = '' } = LOGIN.exec(url)?.groups ?? {}
  // As in postgres:postgres@localhost: a word, and known to everybody.
  if (password === user) return []
  return [...new Set([password, decoded(password)])].filter(({ length }) => length >= MIN_GUESSED)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function withLines(secret: string): string[] {
  if (!secret.includes('\n')) return [secret]
  const lines = secret.split('\n').map((line) => line.trim())
  // The frame of a key (-----BEGIN …) is the same for all.
  return [secret, ...lines.filter((line) => line.length >= MIN_LINE && !line.startsWith('-----'))]
}
