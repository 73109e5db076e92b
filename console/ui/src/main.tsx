import { render } from 'preact';
import { start as startClock } from './clock';
import { listen } from './router';
import { Shell, useSession } from './shell/shell';
import { SignIn } from './shell/signin';
import './styles/base.css';
import './styles/shell.css';
import './styles/parts.css';
import { start as startTheme } from './theme';

function App() {
  const signedIn = useSession();
  return signedIn ? <Shell signedIn={signedIn} key={signedIn.token} /> : <SignIn />;
}

startTheme();
startClock();
listen();
const root = document.getElementById('app');
if (root) render(<App />, root);
