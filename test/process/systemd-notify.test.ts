import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { systemdNotify } from '../../src/process/systemd-notify.ts'
import { useClosers } from '../rig/daemon.ts'
import { listenForNotices } from '../rig/notified.ts'

const onClose = useClosers()

async function manager(body = '') {
  const made = await listenForNotices({ body })
  onClose(() => made.close())
  const notify = systemdNotify({ ...made.env, REDIS_URL: 'redis://:secret@host' })
  if (!notify) throw new Error('nobody listens')
  return { ...made, notify }
}

describe('systemdNotify', () => {
  it('is null where no service manager listens', () => {
    expect(systemdNotify({ PATH: process.env.PATH })).toBeNull()
    expect(systemdNotify({ NOTIFY_SOCKET: '' })).toBeNull()
  })

  it('hands every assignment over as one argument, and nothing of the environment', async () => {
    vi.stubEnv('REDIS_URL', 'redis://:secret@host')
    onTestFinished(() => void vi.unstubAllEnvs())
    const { notify, notices } = await manager('[ -z "$REDIS_URL" ] || exit 9')
    expect(await notify(['READY=1', 'STATUS=a: working on "x"  $HOME; é'])).toBeNull()
    expect(await notices()).toEqual(['READY=1|STATUS=a: working on "x"  $HOME; é'])
  })

  it('says why it was not heard, without what was told', async () => {
    const { notify } = await manager('exit 3')
    const why = await notify(['STATUS=private'])
    expect(why).toMatch(/^systemd-notify failed: .*exit code 3$/)
    expect(why).not.toContain('private')
  })

  it('says that the program is missing', async () => {
    const notify = systemdNotify({ NOTIFY_SOCKET: '/nowhere', PATH: '/nowhere' })
    expect(await notify?.(['READY=1'])).toBe('systemd-notify is not in PATH')
  })
})
