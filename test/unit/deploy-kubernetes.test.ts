import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { resolveSettings } from '../../src/config/resolve.ts'
import { SETTING_KEYS, settingOf } from '../../src/config/settings.ts'
import { Health } from '../../src/observability/health.ts'
import { serveHealth } from '../../src/observability/health-server.ts'
import { Metrics } from '../../src/observability/metrics.ts'
import { townKeys } from '../../src/store/keys.ts'

const folder = new URL('../../deploy/kubernetes/', import.meta.url)
const files = new Map(
  readdirSync(folder).map((name) => {
    const documents = parseAllDocuments(readFileSync(new URL(name, folder), 'utf8'))
    expect(
      documents.flatMap(({ errors }) => errors),
      name,
    ).toEqual([])
    return [name, documents.map((document) => document.toJS())]
  }),
)
const manifests = [...files]
  .filter(([name]) => name !== 'kustomization.yaml')
  .flatMap(([, documents]) => documents)
// biome-ignore lint/suspicious/noExplicitAny: manifests are what they are.
const the = (kind: string): any => {
  const found = manifests.filter((manifest) => manifest.kind === kind)
  expect(found, `one ${kind}`).toHaveLength(1)
  return found[0]
}

const set = the('StatefulSet')
const pod = set.spec.template.spec
const [worker] = pod.containers
const config: Record<string, string> = the('ConfigMap').data
const literal = Object.fromEntries(
  worker.env.flatMap(({ name, value }: { name: string; value?: string }) =>
    value === undefined ? [] : [[name, value]],
  ),
)
const { settings, warnings } = resolveSettings({ flags: {}, env: { ...config, ...literal }, file: null })

describe('the manifests for Kubernetes', () => {
  it('are all in the kustomization but the example of the secret', () => {
    const { resources } = files.get('kustomization.yaml')?.[0] ?? {}
    const others = [...files.keys()].filter((name) => name !== 'kustomization.yaml')
    expect([...resources, 'secret.example.yaml'].sort()).toEqual(others.sort())
  })

  it('stand in one namespace', () => {
    const { name } = the('Namespace').metadata
    for (const { kind, metadata } of manifests)
      if (kind !== 'Namespace') expect([kind, metadata.namespace]).toEqual([kind, name])
    expect(files.get('kustomization.yaml')?.[0].namespace).toBe(name)
  })

  it('select the pods of the StatefulSet, and refer to what is there', () => {
    const { labels } = set.spec.template.metadata
    for (const selector of [
      set.spec.selector.matchLabels,
      the('Service').spec.selector,
      the('NetworkPolicy').spec.podSelector.matchLabels,
      the('PodDisruptionBudget').spec.selector.matchLabels,
    ])
      expect(labels).toMatchObject(selector)
    expect(set.spec.serviceName).toBe(the('Service').metadata.name)
    expect(the('ScaledObject').spec.scaleTargetRef).toMatchObject({ kind: set.kind, name: set.metadata.name })
    expect(worker.envFrom[0].configMapRef.name).toBe(the('ConfigMap').metadata.name)
    const kept = the('Secret').stringData
    const asked = worker.env.flatMap(
      ({ valueFrom }: { valueFrom?: { secretKeyRef?: object } }) => valueFrom?.secretKeyRef ?? [],
    )
    for (const { name, key } of [...asked, ...the('TriggerAuthentication').spec.secretTargetRef]) {
      expect(name).toBe(the('Secret').metadata.name)
      expect(kept).toHaveProperty(key)
    }
    expect(asked.find(({ key }: { key: string }) => key === 'REDIS_URL').optional).toBeUndefined()
  })

  it('set what the worker knows, and give the pod’s name to the agent', () => {
    const known = SETTING_KEYS.map((key) => settingOf(key).env)
    expect(known).toEqual(expect.arrayContaining([...Object.keys(config), ...Object.keys(literal)]))
    expect(warnings).toEqual([])
    expect(settings).toMatchObject({ townName: 'shop', namePool: 1, claimBacklog: true })
    const named = worker.env.find(({ name }: { name: string }) => name === 'TINYTOWN_AGENT_NAME')
    expect(named.valueFrom.fieldRef.fieldPath).toBe('metadata.name')
  })

  it('give a stop the time that a drain and the end of the child tree take', () => {
    const graceMs = 1000 * pod.terminationGracePeriodSeconds
    expect(graceMs).toBeGreaterThanOrEqual(settings.drainTimeout + settings.killGrace + 20_000)
  })

  it('probe the port of the image, at paths that the worker answers', async () => {
    const [port] = worker.ports
    const dockerfile = readFileSync(new URL('../../Dockerfile.agent-worker', import.meta.url), 'utf8')
    expect(dockerfile).toContain(`TINYTOWN_HEALTH_ADDR=0.0.0.0:${port.containerPort}`)
    const [served] = the('Service').spec.ports
    expect([served.targetPort, served.port]).toEqual([port.name, port.containerPort])
    expect(the('NetworkPolicy').spec.ingress[0].ports).toEqual([{ port: port.name }])
    const { annotations } = set.spec.template.metadata
    expect(annotations['prometheus.io/port']).toBe(String(port.containerPort))
    const health = new Health(['agent-worker-0'])
    const metrics = new Metrics({ cli: 'demo', version: '1' })
    const server = await serveHealth({ address: { host: '127.0.0.1', port: 0 }, health, metrics, about: {} })
    try {
      for (const probe of [worker.livenessProbe, worker.readinessProbe])
        expect(probe.httpGet.port).toBe(port.name)
      const status = async (path: string) => (await fetch(server.url + path)).status
      // Before it is registered.
      expect(await status(worker.livenessProbe.httpGet.path)).toBe(200)
      expect(await status(worker.readinessProbe.httpGet.path)).toBe(503)
      expect(await status(annotations['prometheus.io/path'])).toBe(200)
    } finally {
      await server.close()
    }
  })

  it('scale by the list of the backlog', () => {
    const keys = townKeys(settings.townName ?? '')
    const [backlog, inbox] = the('ScaledObject').spec.triggers
    expect(backlog.metadata.listName).toBe(keys.backlog)
    expect(inbox.metadata.query).toContain('tinytown_worker_inbox_depth')
    expect(backlog.authenticationRef.name).toBe(the('TriggerAuthentication').metadata.name)
    const text = readFileSync(new URL('scaledobject.yaml', folder), 'utf8')
    expect(text).toContain(`listName: ${townKeys('{shop}').backlog}`)
  })

  it('keep to the restricted profile, with what is written in volumes', () => {
    expect(the('Namespace').metadata.labels['pod-security.kubernetes.io/enforce']).toBe('restricted')
    expect(pod.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 1000,
      seccompProfile: { type: 'RuntimeDefault' },
    })
    expect(worker.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    const volumes = [
      ...pod.volumes,
      ...set.spec.volumeClaimTemplates.map(({ metadata }: { metadata: object }) => metadata),
    ]
    const mounted = worker.volumeMounts.map(({ name }: { name: string }) => name)
    expect(mounted.sort()).toEqual(volumes.map(({ name }: { name: string }) => name).sort())
    expect(worker.volumeMounts.map(({ mountPath }: { mountPath: string }) => mountPath).sort()).toEqual([
      '/home/node',
      '/tmp',
      '/workspace',
    ])
  })
})
