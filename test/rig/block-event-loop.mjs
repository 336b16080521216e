// Loaded before a daemon: its event loop stands still for BLOCK_MS at each SIGUSR2.
import { writeSync } from 'node:fs'

process.on('SIGUSR2', () => {
  writeSync(2, 'the event loop stands still\n')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(process.env.BLOCK_MS))
  writeSync(2, 'the event loop goes on\n')
})
