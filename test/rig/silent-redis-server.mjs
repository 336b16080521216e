// Takes connections on the socket that it is told and answers nothing, as a redis-server does that froze. SIGTERM does not reach it.
import { createServer } from 'node:net'

process.on('SIGTERM', () => undefined)
createServer((socket) => socket.on('error', () => undefined)).listen(process.argv[2], () =>
  console.log('listening'),
)
