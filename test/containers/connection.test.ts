import { GenericContainer, type StartedTestContainer, Wait } from 'testcontainers'
import { connectionSuite, type Servers } from '../rig/connection-suite.ts'

const PORT = 6379

// The same ways to be reached and refused as with processes of this machine.
connectionSuite(async (): Promise<Servers> => {
  const running: StartedTestContainer[] = []
  let host = '127.0.0.1'
  // The host is known with the first container; the engine may run elsewhere.
  const probe = await new GenericContainer(process.env.TEST_REDIS_IMAGE ?? 'redis:8')
    .withCommand(['redis-server'])
    .withExposedPorts(PORT)
    .withWaitStrategy(Wait.forListeningPorts())
    .start()
  host = probe.getHost()
  await probe.stop()
  return {
    host,
    async start({ password, config = [], tls, replicaOf }) {
      const lines = [
        ...(tls
          ? [
              'port 0',
              `tls-port ${PORT}`,
              'tls-cert-file /tls/server.crt',
              'tls-key-file /tls/server.key',
              'tls-ca-cert-file /tls/ca.crt',
              `tls-auth-clients ${tls.wantsClient ? 'yes' : 'no'}`,
            ]
          : [`port ${PORT}`]),
        'bind * -::*',
        'protected-mode no',
        ...(password === undefined ? [] : [`requirepass ${password}`]),
        ...(replicaOf ? [`replicaof ${replicaOf.inside.host} ${replicaOf.inside.port}`] : []),
        ...config,
      ]
      const files = tls
        ? [
            { source: tls.cert, target: '/tls/server.crt' },
            { source: tls.key, target: '/tls/server.key', mode: 0o644 },
            { source: tls.ca, target: '/tls/ca.crt' },
          ]
        : []
      const container = await new GenericContainer(process.env.TEST_REDIS_IMAGE ?? 'redis:8')
        .withCopyFilesToContainer(files)
        .withCommand(['redis-server', ...lines.flatMap(argumentsOf)])
        .withExposedPorts(PORT)
        .withWaitStrategy(Wait.forListeningPorts())
        .start()
      running.push(container)
      const [network = ''] = container.getNetworkNames()
      const inside = { host: container.getIpAddress(network), port: PORT }
      return { port: container.getMappedPort(PORT), inside }
    },
    async stop() {
      for (const container of running.splice(0).reverse()) await container.stop()
    },
  }
})

/** A line of redis.conf as arguments of redis-server. A password is one word, whatever is in it. */
function argumentsOf(line: string): string[] {
  const [name = '', ...words] = line.split(' ')
  const value = words.join(' ')
  return [
    `--${name}`,
    ...(name === 'requirepass' ? [value] : words.map((word) => (word === '""' ? '' : word))),
  ]
}
