import { v4, v5 } from 'uuid'

/** A UUID in lower case with hyphens. Tinytown writes agent, task and message ids in this form. */
export type Id = string

/** The mailbox of the supervisor, who is also the conductor. No agent record exists for it (Tinytown, agent.rs). */
export const SUPERVISOR_ID: Id = '00000000-0000-0000-0000-000000000001'

/** Names that belong to the well-known mailbox and that no agent may take. */
export const RESERVED_NAMES: readonly string[] = ['supervisor', 'conductor']

/** A new random id. */
export function newId(): Id {
  return v4()
}

// By its shape alone: the supervisor's id has no version digits.
const HYPHENATED = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/**
 * Reads an id in any form that Tinytown reads, and in no other (uuid, parser.rs): upper case, 32 hex digits, `urn:uuid:` or braces
 * around one with hyphens. Null when it is none.
 */
export function parseId(text: string): Id | null {
  const bare = /^(?:urn:uuid:(.{36})|\{(.{36})\})$/s.exec(text)
  const id = bare
    ? (bare[1] ?? bare[2] ?? '')
    : text.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/s, '$1-$2-$3-$4-$5')
  return HYPHENATED.test(id) ? id.toLowerCase() : null
}

// Any UUID does: ids are told apart within it.
const NAMESPACE = '5b1c1c0e-7d0a-4f55-9a44-0d6a2b1f7c11'

/** The id that `id` has for `owner` alone: always the same for the same two. */
export function idWithin(id: Id, owner: Id): Id {
  return v5(`${id}/${owner}`, NAMESPACE)
}

/** The first four hex digits, as `tt` shows them. */
export function shortId(id: Id): string {
  return id.slice(0, 4)
}
