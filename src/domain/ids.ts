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

/** Reads an id in any form that Tinytown reads: upper case, 32 hex digits, `urn:uuid:…`, `{…}`. Null when it is none. */
export function parseId(text: string): Id | null {
  const bare = text
    .trim()
    .toLowerCase()
    .replace(/^urn:uuid:/, '')
    .replace(/^\{(.*)\}$/, '$1')
  const hyphenated = /^[0-9a-f]{32}$/.test(bare)
    ? `${bare.slice(0, 8)}-${bare.slice(8, 12)}-${bare.slice(12, 16)}-${bare.slice(16, 20)}-${bare.slice(20)}`
    : bare
  // By its shape alone: the supervisor's id has no version digits.
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(hyphenated) ? hyphenated : null
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
