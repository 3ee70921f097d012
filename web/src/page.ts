// Every page but the workspace.

import { improveLook } from "./look.js";
import { improveMenu } from "./menu.js";

improveLook();
improveMenu();
