// Imports go one way: cli → protocol's admin contract only; daemon → protocol; protocol → nothing of ours and no I/O.
module.exports = {
  forbidden: [
    {
      name: 'no-circular',
      comment: 'two files may name each other in types, never at run time',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'not-to-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'protocol-imports-nothing-of-ours',
      severity: 'error',
      from: { path: '^protocol/' },
      to: { path: '^(daemon|cli|test)/' },
    },
    {
      name: 'protocol-has-no-io',
      comment: 'sockets, files, processes and clocks are passed in',
      severity: 'error',
      from: { path: '^protocol/' },
      to: {
        path: '^(node:)?(net|fs|fs/promises|dgram|tls|http|https|http2|child_process|cluster|worker_threads|os|timers|timers/promises|process|dns|dns/promises)$|node_modules/(ws|pino|bonjour-service|commander|yaml|find-my-way)/',
      },
    },
    {
      name: 'primitives-stand-behind-their-interface',
      comment: 'node:crypto, libsodium and noble only inside protocol/crypto',
      severity: 'error',
      from: { path: '^protocol/', pathNot: '^protocol/crypto/' },
      to: { path: '^(node:)?crypto$|node_modules/(libsodium-wrappers|@noble)/' },
    },
    {
      name: 'daemon-does-not-import-cli-or-test',
      severity: 'error',
      from: { path: '^daemon/' },
      to: { path: '^(cli|test)/' },
    },
    {
      name: 'cli-imports-the-admin-contract-only',
      severity: 'error',
      from: { path: '^cli/' },
      to: { path: '^(daemon|test|protocol)/', pathNot: '^protocol/(admin/|errors\\.ts$|codes\\.ts$)' },
    },
    {
      name: 'no-dev-packages-in-the-product',
      severity: 'error',
      from: { path: '^(protocol|daemon|cli)/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], pathNot: 'node_modules/@types/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
