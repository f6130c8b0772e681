// Chunks lie beside module.js, wherever Grafana serves it: 'amd-module' is the module object that the AMD loader gives.
import amd from 'amd-module';

__webpack_public_path__ = amd && amd.uri ? amd.uri.slice(0, amd.uri.lastIndexOf('/') + 1) : 'public/plugins/nocturne-fleet-app/';
