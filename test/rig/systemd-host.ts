import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { GenericContainer, type StartedTestContainer } from 'testcontainers'
import { until } from './until.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const exec = promisify(execFile)

/** A machine with systemd as its first process, a redis-server, and this package installed globally from `npm pack`. */
export interface SystemdHost {
  /** Runs a line of shell as root, whatever comes of it. */
  sh(line: string): Promise<{ exit: number; output: string }>
  /** Runs one that must end well, and gives what it printed. */
  ok(line: string): Promise<string>
  write(path: string, text: string, mode?: string): Promise<void>
  close(): Promise<void>
}

/** Boots one from an image that has systemd, redis-server and Node.js. */
export async function bootSystemdHost(image: string): Promise<SystemdHost> {
  const prefix = await installGlobally()
  const container = await new GenericContainer(image)
    .withPrivilegedMode()
    .withCommand(['/sbin/init'])
    .withCopyDirectoriesToContainer([{ source: join(prefix, 'lib'), target: '/opt/tinytown/lib' }])
    .withCopyFilesToContainer([
      {
        source: join(ROOT, 'test/rig/wedge-claim-loop.mjs'),
        target: '/opt/wedge-claim-loop.mjs',
        mode: 0o644,
      },
    ])
    .start()
    .finally(() => rm(prefix, { recursive: true, force: true }))
  const host = hostOf(container)
  await until(
    async () => /running|degraded/.test((await host.sh('systemctl is-system-running')).output),
    'it has booted',
  )
  const main = '/opt/tinytown/lib/node_modules/tinytown-worker/dist/src/cli/main.js'
  await host.ok(
    `chmod +x ${main} && ln -s ${main} /usr/local/bin/tinytown-worker && systemctl start redis-server`,
  )
  return host
}

function hostOf(container: StartedTestContainer): SystemdHost {
  const sh: SystemdHost['sh'] = async (line) => {
    const { exitCode, output } = await container.exec(['sh', '-c', line])
    return { exit: exitCode, output }
  }
  return {
    sh,
    async ok(line) {
      const { exit, output } = await sh(line)
      if (exit !== 0) throw new Error(`${line}: exit ${exit}\n${output}`)
      return output
    },
    async write(path, text, mode = '644') {
      await sh(`mkdir -p "$(dirname ${path})"`)
      await container.copyContentToContainer([
        { content: text, target: path, mode: Number.parseInt(mode, 8) },
      ])
    },
    close: async () => void (await container.stop()),
  }
}

/** What `npm install --global` makes of `npm pack`, in an empty prefix. */
async function installGlobally(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tw-prefix-'))
  const packed = await exec('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    cwd: ROOT,
  })
  const [{ filename }] = JSON.parse(packed.stdout)
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
  await exec('npm', ['install', '--global', '--prefix', folder, ...quiet, join(folder, filename)])
  return folder
}
