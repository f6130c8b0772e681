// Two bundles of the same pages: the Grafana app (dist/, an AMD module that shares React and Grafana's packages with
// its host, as create-plugin lays it out) and the console that the ruler serves (../ruler/console/static).
const fs = require('node:fs');
const path = require('node:path');
const CopyPlugin = require('copy-webpack-plugin');
const { version } = require('./package.json');
const { id } = require('./src/plugin.json');

const src = path.join(__dirname, 'src');

/** What Grafana gives to its plugins: the list is create-plugin's. */
const externals = [
  { 'amd-module': 'module' },
  'lodash', 'jquery', 'moment', 'slate', 'emotion', '@emotion/react', '@emotion/css', 'prismjs', 'react', 'react/jsx-runtime', 'react/jsx-dev-runtime',
  'react-dom', 'react-redux', 'redux', 'rxjs', 'i18next', 'react-router', 'd3', 'angular', /^@grafana\/ui/i, /^@grafana\/runtime/i, /^@grafana\/data/i,
];

const code = {
  test: /\.tsx?$/,
  exclude: /node_modules/,
  use: {
    loader: 'swc-loader',
    options: { jsc: { target: 'es2020', parser: { syntax: 'typescript', tsx: true }, transform: { react: { runtime: 'automatic' } } } },
  },
};

const base = (env) => ({
  context: src,
  mode: env.production ? 'production' : 'development',
  devtool: env.production ? false : 'source-map',
  resolve: { extensions: ['.ts', '.tsx', '.mjs', '.js'] },
  performance: { hints: false },
  stats: 'errors-warnings',
});

const plugin = (env) => ({
  ...base(env),
  name: 'plugin',
  entry: { module: ['./publicPath.js', './module.tsx'] },
  devtool: 'source-map', // Grafana's validator compares it with the source
  externals,
  module: { rules: [code] },
  output: {
    path: path.join(__dirname, 'dist'),
    clean: { keep: /^gpx_|^go_plugin_build_manifest$/ },
    filename: '[name].js',
    chunkFilename: '[name].js?_cache=[contenthash]',
    library: { type: 'amd' },
    publicPath: `public/plugins/${id}/`,
    uniqueName: id,
    crossOriginLoading: 'anonymous',
  },
  plugins: [
    new CopyPlugin({
      patterns: [
        { from: 'plugin.json', transform: (b) => String(b).replaceAll('%VERSION%', version).replaceAll('%TODAY%', new Date().toISOString().slice(0, 10)).replaceAll('%PLUGIN_ID%', id) },
        { from: 'README.md' },
        { from: '../../CHANGELOG.md' },
        { from: '../../LICENSE' },
        { from: 'img', to: 'img' },
        { from: 'locales', to: 'locales' },
      ],
    }),
  ],
});

/** index.html with the names that the files have got. */
class Page {
  apply(compiler) {
    compiler.hooks.thisCompilation.tap('Page', (compilation) => {
      compilation.hooks.processAssets.tap({ name: 'Page', stage: compiler.webpack.Compilation.PROCESS_ASSETS_STAGE_REPORT }, () => {
        const scripts = compilation.entrypoints.get('console').getFiles().filter((f) => f.endsWith('.js'));
        const html = fs.readFileSync(path.join(src, 'console/index.html'), 'utf8').replace('<!-- scripts -->', scripts.map((f) => `<script defer src="/built/${f}"></script>`).join('\n  '));
        compilation.emitAsset('index.html', new compiler.webpack.sources.RawSource(html));
      });
    });
  }
}

const consoleBundle = (env) => ({
  ...base(env),
  name: 'console',
  entry: { console: './console.tsx' },
  resolve: { ...base(env).resolve, alias: { 'react-inlinesvg$': path.join(src, 'console/InlineSvg.tsx') } },
  module: {
    rules: [
      code,
      { test: /\.mjs$/, resolve: { fullySpecified: false } },
      { test: /\.css$/, type: 'asset/resource' },
      { test: /\.(svg|png|woff2?|ttf)$/, type: 'asset/resource' },
    ],
  },
  output: {
    path: path.join(__dirname, '../ruler/console/static/built'),
    clean: true,
    filename: '[name].[contenthash:12].js',
    chunkFilename: '[name].[contenthash:12].js',
    assetModuleFilename: '[name].[contenthash:12][ext]',
    publicPath: '/built/',
    uniqueName: 'nocturne-console',
    trustedTypes: { policyName: 'nocturne' },
  },
  plugins: [
    // Grafana's components ask for their icons by name; one of them is not in their package.
    new CopyPlugin({
      patterns: [
        { from: path.join(__dirname, 'node_modules/@grafana/ui/dist/public/img/icons'), to: 'build/img/icons' },
        { from: 'console/icons', to: 'build/img/icons/unicons' },
      ],
    }),
    new Page(),
  ],
});

module.exports = (env) => [plugin(env), consoleBundle(env)];
