import { defineConfig } from 'vitest/config'

// Suites that need more than an npm install run by themselves: `npm run test:containers` wants a container engine,
// `npm run test:interop` the real `tt`, `npm run test:package` the package registry.
const apart = ['containers', 'interop', 'package']
const suite = apart.find((name) => process.env[`TEST_${name.toUpperCase()}`] === '1')

export default defineConfig({
  test: {
    include: suite ? [`test/${suite}/**/*.test.ts`] : ['test/**/*.test.ts'],
    exclude: suite ? [] : [...apart.map((name) => `test/${name}/**`), '**/node_modules/**'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // The end-to-end tests start processes of their own and wait for them: four files at a time keep two cores busy. Two builds of
    // one image at a time get in each other's way.
    maxWorkers: suite === 'containers' ? 1 : 4,
  },
})
