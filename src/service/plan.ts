import type { Variables } from './environment-file.ts'
import type { Scope } from './systemd-unit.ts'

export interface ServiceFile {
  readonly path: string
  readonly text: string
  readonly mode: number
}

/** One thing that is done to install or remove a service. */
export type Step =
  | ({ readonly do: 'write' } & ServiceFile)
  | { readonly do: 'remove'; readonly path: string }
  /** `optional`: its failure is told and passed over. */
  | { readonly do: 'run'; readonly command: readonly string[]; readonly optional?: true }

/** What is to be done, in this order; no steps: everything is as it should be. */
export interface Plan {
  /** How the service manager knows the service. */
  readonly service: string
  readonly steps: readonly Step[]
  /** What whoever reads the plan should know. */
  readonly notes: readonly string[]
}

/** What a service is to be. */
export interface ServiceRequest {
  readonly agent: string
  readonly scope: Scope
  /** The beginning of its command line. */
  readonly program: readonly string[]
  /** Its settings. */
  readonly variables: Variables
  /** Variables that its CLI may need, to be filled in by hand. */
  readonly keys: readonly string[]
  /** The folder of its town. */
  readonly folder: string
  /** How long its stop may take, and that of a worker with default settings, in milliseconds. */
  readonly stopMs: number
  readonly usualStopMs: number
  /** The user whom it runs as; undefined = the usual one. */
  readonly runAs: string | undefined
  /** Whether settings that are there and say otherwise are written over. */
  readonly force: boolean
  /** Whether it is started. */
  readonly start: boolean
}

export interface ServiceStatus {
  readonly service: string
  readonly installed: boolean
  readonly enabled: boolean
  readonly active: boolean
  /** What its manager calls its state: `active (running)`. */
  readonly state: string
  /** What the worker says that it does. */
  readonly status?: string
  readonly pid?: number
  readonly restarts?: number
  /** The exit status of the last end. */
  readonly exitStatus?: number
  /** The last lines of its log. */
  readonly lines: readonly string[]
}

/** A service manager: it makes plans and tells, and changes nothing. */
export interface ServiceManagerKind {
  readonly name: 'systemd' | 'launchd'
  /** Throws `not-installed` where this machine does not have it, `service-failed` where it does not answer. */
  require(): Promise<void>
  /** What a service consists of where nothing is there yet. */
  files(request: ServiceRequest): Promise<ServiceFile[]>
  planInstall(request: ServiceRequest): Promise<Plan>
  /** `purge`: the settings go as well. */
  planUninstall(agent: string, options: { purge: boolean }): Promise<Plan>
  status(agent: string, options: { lines: number }): Promise<ServiceStatus>
}

/** The steps that make a file what it should be; none when it is. */
export function writeStep(before: Omit<ServiceFile, 'path'> | null, file: ServiceFile): Step[] {
  return before?.text === file.text && before.mode === file.mode ? [] : [{ do: 'write', ...file }]
}

/** The lines of `NAME=value` that a program printed. */
export function properties(text: string): Record<string, string> {
  const entries = text.split('\n').flatMap((line) => {
    const at = line.indexOf('=')
    return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1)]]
  })
  return Object.fromEntries(entries)
}
