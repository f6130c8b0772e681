// The console: the same pages in a frame of our own, served by the ruler.
import './console/before';
import { createRoot } from 'react-dom/client';
import { Console } from './console/Console';

createRoot(document.getElementById('root') as HTMLElement).render(<Console />);
