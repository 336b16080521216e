import { readFileSync } from 'node:fs'
import { connectionSuite, type Servers } from '../rig/connection-suite.ts'
import { type RedisServer, startRedis } from '../rig/redis-servers.ts'

connectionSuite(async (): Promise<Servers> => {
  const running: RedisServer[] = []
  return {
    host: '127.0.0.1',
    async start({ password, config = [], tls, replicaOf }) {
      const secure = tls && [
        `tls-cert-file ${tls.cert}`,
        `tls-key-file ${tls.key}`,
        `tls-ca-cert-file ${tls.ca}`,
        `tls-auth-clients ${tls.wantsClient ? 'yes' : 'no'}`,
      ]
      const server = await startRedis({
        config: [
          ...(password === undefined ? [] : [`requirepass ${JSON.stringify(password)}`]),
          ...(replicaOf ? [`replicaof ${replicaOf.inside.host} ${replicaOf.inside.port}`] : []),
          ...(secure ?? []),
          ...config,
        ],
        client: {
          ...(password === undefined ? {} : { password }),
          // It only looks whether the server is there.
          ...(tls ? { tls: { rejectUnauthorized: false, ...clientPair(tls) } } : {}),
        },
      })
      running.push(server)
      return { port: server.port, inside: { host: '127.0.0.1', port: server.port } }
    },
    async stop() {
      for (const server of running.splice(0).reverse()) await server.close()
    },
  }
})

function clientPair({ cert, key }: { cert: string; key: string }): { cert: Buffer; key: Buffer } {
  return { cert: readFileSync(cert), key: readFileSync(key) }
}
