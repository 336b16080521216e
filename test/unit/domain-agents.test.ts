import { describe, expect, it } from 'vitest'
import { agentNames } from '../../src/domain/agent-names.ts'
import { isForRole } from '../../src/domain/backlog-role.ts'

describe('agentNames', () => {
  it.each([
    ['worker-1', 1, ['worker-1']],
    ['backend', 1, ['backend']],
    ['worker-1', 4, ['worker-1', 'worker-2', 'worker-3', 'worker-4']],
    ['backend', 2, ['backend-1', 'backend-2']],
    ['gpu-node-9', 2, ['gpu-node-9', 'gpu-node-10']],
  ])('%s, %i of them', (name, count, names) => {
    expect(agentNames(name, count)).toEqual(names)
  })
})

describe('isForRole', () => {
  it.each([
    ['worker-1', 'Pick up the next task', [], true],
    ['backend', 'Implement the importer', ['backend', 'data'], true],
    ['reviewer', 'Add the demo data mode', ['backend', 'frontend', 'data'], false],
    ['reviewer', 'Look at the login', ['Review'], true],
    ['frontend-2', 'Build the page', [], false],
    ['frontend-2', 'Make the UI faster', [], true],
    ['qa', 'Write regression tests', [], true],
    ['devops', 'Deploy it', [], true],
    ['sec', 'Hardening of the server', [], true],
    ['docs', 'A README for it', [], true],
  ])('%s: %s %j', (role, description, tags, fits) => {
    expect(isForRole({ description, tags }, role)).toBe(fits)
  })
})
