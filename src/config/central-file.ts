import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { messageOf, WorkerError } from '../domain/errors.ts'
import { parseToml } from './toml-text.ts'

/** The folder of Tinytown in the home folder: its central redis-server, its programs and its settings. */
export function centralFolder(home: string): string {
  return join(home, '.tt')
}

/** The file that `tt` keeps the settings of the central redis-server in (Tinytown, global_config.rs). */
export function centralFile(home: string): string {
  return join(centralFolder(home), 'config.toml')
}

/** What `~/.tt/config.toml` says of the central redis-server. */
export interface CentralSettings {
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly password?: string | undefined
}

const redisTable = z.object({
  host: z.string().min(1).optional(),
  port: z.int().min(1).max(65_535).optional(),
  password: z.string().optional(),
})
const fileSchema = z.looseObject({ redis: redisTable.optional() })

/** Reads the file; without one nothing is said. Throws `config` when it cannot be read or is malformed. */
export function readCentralFile(home: string): CentralSettings {
  const path = centralFile(home)
  const text = readText(path)
  const parsed = fileSchema.safeParse(parseToml(path, text))
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new WorkerError('config', `Cannot use ${path}: ${issue?.path.join('.')}: ${issue?.message}`)
  }
  const { password, ...rest } = parsed.data.redis ?? {}
  return { ...rest, password: password === '' ? undefined : password }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw new WorkerError('config', `Cannot read ${path}: ${messageOf(error)}`, { cause: error })
  }
}
