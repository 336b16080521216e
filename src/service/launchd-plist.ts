import type { Variables } from './environment-file.ts'

export interface PlistOptions {
  readonly agent: string
  readonly program: readonly string[]
  readonly variables: Variables
  /** The folder in which the worker starts. */
  readonly folder: string
  /** Where its log goes. */
  readonly log: string
  /** How long an orderly stop may take, in milliseconds. */
  readonly stopMs: number
}

type Plist = string | number | boolean | readonly Plist[] | { readonly [key: string]: Plist }

/** How launchd knows the worker of an agent. */
export function labelOf(agent: string): string {
  return `dev.tinytown.worker.${agent}`
}

/** The LaunchAgent of one agent (launchd.plist(5)). */
export function launchdPlist({ agent, program, variables, folder, log, stopMs }: PlistOptions): string {
  const body: Plist = {
    Label: labelOf(agent),
    ProgramArguments: [...program, 'run'],
    EnvironmentVariables: {
      TINYTOWN_AGENT_NAME: agent,
      TINYTOWN_CONNECT_TIMEOUT: '60s',
      ...variables,
    },
    WorkingDirectory: folder,
    RunAtLoad: true,
    // Ended by a stop or with its work done it stays down; launchd knows no exit status that a restart cannot mend.
    KeepAlive: { SuccessfulExit: false, Crashed: true },
    ThrottleInterval: 30,
    ExitTimeOut: Math.ceil(stopMs / 1000),
    ProcessType: 'Standard',
    StandardOutPath: log,
    StandardErrorPath: log,
  }
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
    '<plist version="1.0">',
    ...element(body, ''),
    '</plist>',
    '',
  ].join('\n')
}

function element(value: Plist, indent: string): string[] {
  if (typeof value === 'string') return [`${indent}<string>${escapeXml(value)}</string>`]
  if (typeof value === 'number') return [`${indent}<integer>${value}</integer>`]
  if (typeof value === 'boolean') return [`${indent}<${value}/>`]
  const inner = `${indent}  `
  if (Array.isArray(value)) {
    return [`${indent}<array>`, ...value.flatMap((item) => element(item, inner)), `${indent}</array>`]
  }
  const entries = Object.entries(value).flatMap(([key, item]) => [
    `${inner}<key>${escapeXml(key)}</key>`,
    ...element(item, inner),
  ])
  return [`${indent}<dict>`, ...entries, `${indent}</dict>`]
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
