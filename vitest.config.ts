import { defineConfig } from 'vitest/config'

// The tests with containers need a container engine: `npm run test:containers`.
const containers = process.env.TEST_CONTAINERS === '1'

export default defineConfig({
  test: {
    include: containers ? ['test/containers/**/*.test.ts'] : ['test/**/*.test.ts'],
    exclude: containers ? [] : ['test/containers/**', '**/node_modules/**'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // The end-to-end tests start processes of their own: two files at a time is what two cores carry.
    maxWorkers: 2,
  },
})
