// Every page but the workspace.

import { improveThemeSwitch } from "./theme.js";

improveThemeSwitch();
