// Every page but the workspace.

import { improveCopy } from "./copycode.js";
import { improveLook } from "./look.js";
import { improveMenu } from "./menu.js";
import { improveCodeForm } from "./resume.js";

improveLook();
improveMenu();
improveCopy(document);
improveCodeForm();
