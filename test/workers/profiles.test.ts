import { describe, expect, test } from 'vitest'
import { findProfile, profiles } from '../../workers/index.ts'

test('has one profile for each name', () => {
  expect(profiles.map(({ id }) => id)).toEqual(['codex', 'claude', 'demo'])
  for (const profile of profiles) expect(findProfile(profile.id)).toBe(profile)
})

test.each(['gemini', '', 'constructor'])('knows no CLI named %j', (id) => {
  expect(findProfile(id)).toBeUndefined()
})

describe.each(profiles)('$id', (profile) => {
  test('gives the prompt on stdin', () => {
    expect(profile.prompt.via).toBe('stdin')
  })

  test('matches failures without keeping a place in the text', () => {
    const patterns = [...profile.failures, ...(profile.stderrFailures ?? [])].map(({ match }) => match)
    for (const match of patterns) {
      if (match instanceof RegExp) expect(match.flags).not.toMatch(/[gy]/)
    }
  })
})

describe('login', () => {
  test.each(['codex', 'claude'])('%s is logged in when its status command says so by its exit code', (id) => {
    const loggedIn = findProfile(id)?.login?.command?.loggedIn
    expect(loggedIn?.({ exitCode: 0, output: 'Logged in using ChatGPT' })).toBe(true)
    expect(loggedIn?.({ exitCode: 1, output: 'Not logged in' })).toBe(false)
  })

  test('the demo agent needs none', () => {
    expect(findProfile('demo')?.login).toBeNull()
  })
})
