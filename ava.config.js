export default {
  files: ['__test__/**/*.spec.ts'],
  extensions: { ts: 'module' },
  nodeArguments: ['--import=@oxc-node/core/register'],
  // keepfaith belongs to the process, so each spec gets one of its own.
  workerThreads: false,
  timeout: '60s',
}
