import { existsSync } from 'node:fs'

/** What a name of a variable, of a header, of a member of JSON or of a parameter of a URL looks like whose value is secret. */
const SECRET_NAME =
  /TOKEN(S?_|S?$)|SECRET|PASSW(OR)?D|PASSPHRASE|CREDENTIAL|BEARER|SIGNATURE|KEY$|(^|_)(KEY|AUTH|AUTHORIZATION|PASS|PWD|PAT|JWT|COOKIE|SIG)S?(_|$)/i

/** Shorter ones are ordinary words too often to be taken for secrets by where they stand alone. */
export const MIN_GUESSED = 8
/** What stands in a secret piece of JSON under any name is one from this length on. */
const MIN_LEAF = 12
/** So many values of one piece of JSON are looked at, and so many of them are secret, at most. */
const MOST_VALUES = 10_000
const MOST_LEAVES = 100

const URL = /^[a-z][a-z0-9+.-]*:\/\//i
// Each begins where a word does, and is bounded: a long value must not cost its square.
const URLS = /(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}:\/\/[^\s"'<>]+/gi
const LOGIN = /^[a-z][a-z0-9+.-]*:\/\/(?<user>[^\s/?#@:]*)(?::(?<password>[^\s/?#@]*))?@/i
const PARAMETER = /[?&#;](?<name>[\w.[\]-]+)=(?<value>[^&#;\s]+)/g
const WEBHOOK = /webhook|:\/\/hooks\./i
/** The passwords that stand beside a token in the place of the user. */
const NO_PASSWORD = ['', 'x', 'x-oauth-basic']

const HEADER =
  /(?<![\w-])(?<name>[a-z][\w-]{0,60})["']?:[ \t]*["']?(?<value>(?:(?:bearer|basic|token)[ \t]+)?[^\s"',;]+)/gi
/** Their values are secret also where they are words; `key: …` stands in prose. */
const SURE_HEADER = /-|authorization|token/i
const SCHEME = /^(?<scheme>bearer|basic|token)[ \t]+(?<value>[^\s"',;]+)/i

/** Words as people and programs write them: `disabled`, `x-oauth-basic`, `IncomingWebhook`. */
const WORD = /^([A-Z]?[a-z]{2,}|[a-z])([-_.]?[A-Z]?[a-z]{2,})*$|^[A-Z]{2,}([-_.][A-Z]{2,})*$/
const LONGEST_WORD = 24
const RELATIVE_PATH = /^(~|\.{1,2})\//
const FIRST_FOLDER = /^\/[^/.:][^/:]*/
const NUMBER = /^[-+]?[\d.,_]+$/
const EMAIL = /^[^\s@]+@[^\s@]+\.[a-z]{2,}$/i
const HOST = /^\.?([a-z0-9-]+\.)+[a-z]{2,24}$/i
/** Members that say whose a secret is, not what it is. */
const PUBLIC_MEMBER = /(^|_)(email|project|uri|url|domain|type|region|name|username|host)(_id)?$|^client_id$/i

/** Whether a value under this name is secret by the look of the name. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name.replace(/[-.[\]]/g, '_'))
}

export function isWord(value: string): boolean {
  return value.length < LONGEST_WORD && WORD.test(value)
}

export function isNumber(value: string): boolean {
  return NUMBER.test(value)
}

export function isHost(value: string): boolean {
  return HOST.test(value)
}

/** A path begins with a folder that there is; what is random and begins with a slash does not. */
export function isPath(value: string): boolean {
  const first = FIRST_FOLDER.exec(value)
  return RELATIVE_PATH.test(value) || (first !== null && existsSync(first[0]))
}

export function isUrl(value: string): boolean {
  return URL.test(value)
}

/** What is secret within a value, whatever it is the value of: in its URLs, headers, and members of JSON. */
export function secretParts(value: string): string[] {
  const urls = urlsIn(value).flatMap((url) => [...ofLogin(url), ...ofParameters(url)])
  const leaves = jsonLeaves(value)
  return [...urls, ...(leaves ? named(leaves) : ofHeaders(value))]
}

/** What else is secret within a value that is so as a whole: it may be shown alone. */
export function innerSecrets(value: string): string[] {
  return (jsonLeaves(value) ?? [])
    .filter(({ name, text }) => text.length >= MIN_LEAF && !PUBLIC_MEMBER.test(name) && !isCommon(text))
    .map(({ text }) => text)
}

/** The secret pieces of the path of a webhook: whoever knows it may post. */
export function ofWebhook(name: string, value: string): string[] {
  return urlsIn(value)
    .filter((url) => WEBHOOK.test(name) || WEBHOOK.test(url))
    .flatMap((url) => url.replace(/^[^:]+:\/\/[^/]*/, '').split(/[/?#&=]/))
    .filter((piece) => isGuessed(piece) && !isWord(piece) && !isNumber(piece) && !isHost(piece))
}

/** A password may hold quotes: what is a URL as a whole is taken as it is. */
function urlsIn(value: string): string[] {
  return isUrl(value) ? [value] : [...value.matchAll(URLS)].map(([url]) => url)
}

function ofLogin(url: string): string[] {
  const { user = '', password = '' } = LOGIN.exec(url)?.groups ?? {}
  if (NO_PASSWORD.includes(password.toLowerCase())) return isWord(user) || isNumber(user) ? [] : decoded(user)
  // As in postgres:postgres@localhost: a word, and known to everybody.
  return password === user ? [] : decoded(password)
}

function ofParameters(url: string): string[] {
  return [...url.matchAll(PARAMETER)].flatMap(({ groups: { name = '', value = '' } = {} }) =>
    isSecretName(name) && !isNumber(value) ? decoded(value) : [],
  )
}

/** `Authorization: Bearer …`, `x-api-key: …`, and the words behind the header alone. */
function ofHeaders(value: string): string[] {
  const bare = SCHEME.test(value) ? [{ groups: { name: '', value } }] : []
  return [...bare, ...value.matchAll(HEADER)].flatMap(({ groups: { name = '', value: text = '' } = {} }) => {
    if (name !== '' && !isSecretName(name)) return []
    const { scheme, value: behind = text } = SCHEME.exec(text)?.groups ?? {}
    if (!isGuessed(behind) || isPlain(behind) || (isWord(behind) && !SURE_HEADER.test(name))) return []
    return scheme?.toLowerCase() === 'basic' ? [behind, ...ofBasic(behind)] : [behind]
  })
}

interface Leaf {
  readonly name: string
  readonly text: string
}

function named(leaves: readonly Leaf[]): string[] {
  return leaves
    .filter(({ name, text }) => isSecretName(name) && isGuessed(text) && !isPlain(text))
    .flatMap(({ text }) => [text, ...ofBasic(text)])
}

/** The texts in a value that is JSON; null when it is none. */
function jsonLeaves(value: string): Leaf[] | null {
  if (!/^\s*[[{]/.test(value)) return null
  const open: [string, unknown][] = [['', parsed(value)]]
  const leaves: Leaf[] = []
  for (let seen = 0; open.length > 0 && seen < MOST_VALUES && leaves.length < MOST_LEAVES; seen += 1) {
    const [name, member] = open.shift() as [string, unknown]
    if (member === undefined) return null
    if (typeof member === 'string') leaves.push({ name, text: member.trim() })
    else if (Array.isArray(member)) open.push(...member.map((one): [string, unknown] => [name, one]))
    else if (typeof member === 'object' && member !== null) open.push(...Object.entries(member))
  }
  return leaves
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The password in what `basic` logins and docker's settings hold. */
function ofBasic(text: string): string[] {
  const { user, password = '' } =
    /^(?<user>[\x20-\x39\x3b-\x7e]*):(?<password>[\x20-\x7e]+)$/.exec(
      Buffer.from(text, 'base64').toString('latin1'),
    )?.groups ?? {}
  return password !== user && isGuessed(password) ? [password] : []
}

function isPlain(text: string): boolean {
  return isNumber(text) || isUrl(text) || isPath(text)
}

function isCommon(text: string): boolean {
  return isPlain(text) || isWord(text) || isHost(text) || EMAIL.test(text)
}

function isGuessed({ length }: string): boolean {
  return length >= MIN_GUESSED
}

/** A part of a URL, as it stands there and decoded. */
function decoded(part: string): string[] {
  let plain = part
  try {
    plain = decodeURIComponent(part)
  } catch {
    // Then it is not encoded.
  }
  return [...new Set([part, plain])].filter(isGuessed)
}
