// Every page but the workspace.

import { improveCopy } from "./copycode.js";
import { improveCodeForm } from "./resume.js";
import { improveThemeSwitch } from "./theme.js";

improveThemeSwitch();
improveCopy(document);
improveCodeForm();
