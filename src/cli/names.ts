import type { Agent } from '../domain/agent.ts'
import { type Id, SUPERVISOR_ID } from '../domain/ids.ts'
import { idOf, summary } from './show.ts'

/** Names agents for people; one that is not among them shows as the beginning of its id. */
export function namesOf(agents: readonly Agent[]): (id: Id) => string {
  const names = new Map(agents.map(({ id, name }) => [id, summary(name)]))
  names.set(SUPERVISOR_ID, 'supervisor')
  return (id) => names.get(id) ?? `${idOf(id)} (deleted)`
}
