// Every page but the workspace.

import { improveCopy } from "./around/copycode.js";
import { followFaults } from "./around/follow.js";
import { improveLook } from "./around/look.js";
import { improveMenu } from "./around/menu.js";
import { improveCodeForm } from "./around/resume.js";

improveLook();
improveMenu();
improveCopy(document);
improveCodeForm();
followFaults();
