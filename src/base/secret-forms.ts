import { wellFormed } from './text.ts'

/** A form in another alphabet that is shorter than this is too likely to stand somewhere by chance. */
const MIN_BASE64 = 8
/** A command line in JSON in the output of a tool in JSON in an event in JSON. */
const JSON_DEPTH = 3

/** How one program or another writes a string in JSON. */
interface JsonDialect {
  /** What it escapes besides what it must. */
  readonly also: RegExp | null
  readonly slash: boolean
  /** Whether its hex digits are capitals. */
  readonly upper: boolean
}

// JSON.stringify; Python's json.dumps; Go's encoding/json; both.
const ALSO = [null, /[\u007f-\uffff]/g, /[<>&\u2028\u2029]/g, /[<>&\u007f-\uffff]/g]
const BOTH = [false, true]
const DIALECTS: readonly JsonDialect[] = ALSO.flatMap((also) =>
  BOTH.flatMap((slash) => BOTH.map((upper) => ({ also, slash, upper }))),
)

/**
 * The forms in which a text stands in what programs print: as it is, escaped in JSON (also in JSON in JSON), percent-encoded, and in
 * base64, alone or in the middle of something longer.
 */
export function secretForms(secret: string): string[] {
  const text = wellFormed(secret)
  return [...new Set([text, ...jsonForms(text), ...urlForms(text), ...base64Forms(Buffer.from(text))])]
}

function jsonForms(text: string): string[] {
  // Some escape every single character. Once: twice would be six times as long each time.
  const units = text.split('')
  const whole = BOTH.map((upper) => units.map((unit) => hexEscape(unit, upper)).join(''))
  return [...whole, ...DIALECTS.flatMap((dialect) => nested(text, dialect))]
}

function nested(text: string, dialect: JsonDialect): string[] {
  const forms: string[] = []
  for (let form = text; forms.length < JSON_DEPTH; forms.push(form)) form = jsonEscaped(form, dialect)
  return forms
}

function jsonEscaped(text: string, { also, slash, upper }: JsonDialect): string {
  const must = JSON.stringify(text)
    .slice(1, -1)
    // Control characters; a backslash of the text itself stands doubled and means no escape.
    .replace(/\\(?:u([0-9a-f]{4})|.)/g, (all, code) => (code && upper ? `\\u${code.toUpperCase()}` : all))
  const slashed = slash ? must.replaceAll('/', '\\/') : must
  return also === null ? slashed : slashed.replace(also, (unit) => hexEscape(unit, upper))
}

function hexEscape(unit: string, upper: boolean): string {
  const code = unit.charCodeAt(0).toString(16).padStart(4, '0')
  return `\\u${upper ? code.toUpperCase() : code}`
}

function urlForms(text: string): string[] {
  const component = encodeURIComponent(text)
  const strict = component.replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
  const spaced = [component, strict].map((form) => form.replaceAll('%20', '+'))
  const forms = [component, strict, encodeURI(text), ...spaced]
  return [...forms, ...forms.map((form) => form.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()))]
}

/** In both alphabets. Of a text in the middle of a longer one the digits are told that hold nothing of its neighbours. */
function base64Forms(bytes: Buffer): string[] {
  const inside = [0, 1, 2].map((before) => {
    const digits = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64url')
    return digits.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6))
  })
  const padded = bytes.toString('base64')
  const forUrls = [...inside, bytes.toString('base64url')]
  const forms = [padded, ...forUrls, ...forUrls.map((form) => form.replaceAll('-', '+').replaceAll('_', '/'))]
  return forms.filter(({ length }) => length >= MIN_BASE64)
}
