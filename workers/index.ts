import type { Profile } from '../src/process/profile.ts'
import { claude } from './claude.ts'
import { codex } from './codex.ts'
import { demo } from './demo.ts'

/** Every CLI that `--cli` knows by name. */
export const profiles: readonly Profile[] = [codex, claude, demo]

export function findProfile(id: string): Profile | undefined {
  return profiles.find((profile) => profile.id === id)
}
