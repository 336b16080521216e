import type { Command } from '../command.ts'
import { run } from './run.ts'

/** Every command, in the order of `--help`. */
export const commands: readonly Command[] = [run]
