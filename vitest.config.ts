import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // The end-to-end tests start processes of their own: two files at a time is what two cores carry.
    maxWorkers: 2,
  },
})
