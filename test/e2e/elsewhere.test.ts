import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { useClosers } from '../rig/daemon.ts'
import { startRedis } from '../rig/redis-servers.ts'
import { useScene } from '../rig/scene.ts'

const onClose = useClosers()
const scene = useScene(onClose)

describe('TINYTOWN_REDIS_START=false', () => {
  it.each([['redis', 'start'], ['list'], []])(
    'ends `%s %s` with 78 where no Redis is named',
    async (...args) => {
      const { town } = await scene({ env: { TINYTOWN_REDIS_START: 'false' } })
      const { exit, stderr } = await town.cli(...args)
      expect([exit, stderr]).toEqual([78, expect.stringMatching(/No Redis is named[\s\S]*Set REDIS_URL/)])
    },
  )

  it('is what doctor tells', async () => {
    const { town } = await scene({ env: { TINYTOWN_REDIS_START: 'false' } })
    expect((await town.cli('doctor')).stdout).toMatch(/^fail {2}Redis +No Redis is named/m)
  })

  it('changes nothing where one is named', async () => {
    const server = await startRedis()
    onClose(() => server.close())
    const env = { TINYTOWN_REDIS_START: 'false', REDIS_URL: `redis://127.0.0.1:${server.port}` }
    const { town } = await scene({ env })
    expect(await town.cli('list')).toMatchObject({ exit: 0 })
  })
})

describe('a town folder that cannot be written', () => {
  it('is told at the start of a worker whose Redis is elsewhere', async () => {
    const server = await startRedis()
    onClose(() => server.close())
    const { town } = await scene({ env: { REDIS_URL: `redis://127.0.0.1:${server.port}` } })
    // Root may write everywhere, but not into a file.
    await writeFile(join(town.root, '.tt'), '')
    const daemon = await town.worker('--cli', 'fake')
    expect(daemon.stderr()).toMatch(/\.tt cannot be written: .*mount a volume at/)
  })
})
