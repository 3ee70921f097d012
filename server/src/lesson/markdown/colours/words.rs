//! The languages as data.

use super::grammar::{Grammar, Quote};

const SINGLE: Quote = Quote { mark: "'", escapes: true, over_lines: false };
const DOUBLE: Quote = Quote { mark: "\"", escapes: true, over_lines: false };
const BACKTICK: Quote = Quote { mark: "`", escapes: true, over_lines: true };

const NOTHING: Grammar = Grammar {
    line_comments: &[],
    block_comment: None,
    quotes: &[DOUBLE, SINGLE],
    words: &[],
    any_case: false,
    variables: false,
    shell: false,
    keys: false,
    directives: false,
};

/// As C writes comments.
const C_LIKE: Grammar = Grammar { line_comments: &["//"], block_comment: Some(("/*", "*/")), ..NOTHING };

pub static SHELL: Grammar = Grammar {
    line_comments: &["#"],
    quotes: &[
        Quote { mark: "'", escapes: false, over_lines: true },
        Quote { mark: "\"", escapes: true, over_lines: true },
    ],
    words: &[
        "if", "then", "else", "elif", "fi", "for", "in", "do", "done", "while", "until", "case", "esac", "function",
        "select",
    ],
    variables: true,
    shell: true,
    ..NOTHING
};

/// The arguments of a Dockerfile's instruction.
pub static PLAIN: Grammar = Grammar { words: &["AS", "as"], variables: true, ..NOTHING };

pub const INSTRUCTIONS: [&str; 18] = [
    "FROM",
    "RUN",
    "CMD",
    "LABEL",
    "MAINTAINER",
    "EXPOSE",
    "ENV",
    "ADD",
    "COPY",
    "ENTRYPOINT",
    "VOLUME",
    "USER",
    "WORKDIR",
    "ARG",
    "ONBUILD",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "SHELL",
];

/// A value in YAML, TOML or INI.
pub static YAML: Grammar = Grammar {
    line_comments: &[" #", "\t#", "# "],
    words: &["true", "false", "null", "yes", "no", "on", "off"],
    ..NOTHING
};

pub static JSON: Grammar = Grammar { words: &["true", "false", "null"], quotes: &[DOUBLE], keys: true, ..C_LIKE };

static GO: Grammar = Grammar {
    quotes: &[DOUBLE, SINGLE, Quote { mark: "`", escapes: false, over_lines: true }],
    words: &[
        "break",
        "case",
        "chan",
        "const",
        "continue",
        "default",
        "defer",
        "else",
        "fallthrough",
        "false",
        "for",
        "func",
        "go",
        "goto",
        "if",
        "import",
        "interface",
        "iota",
        "map",
        "nil",
        "package",
        "range",
        "return",
        "select",
        "struct",
        "switch",
        "true",
        "type",
        "var",
        "bool",
        "byte",
        "error",
        "int",
        "int64",
        "string",
        "uint",
        "any",
    ],
    ..C_LIKE
};

static PYTHON: Grammar = Grammar {
    line_comments: &["#"],
    quotes: &[
        Quote { mark: "\"\"\"", escapes: true, over_lines: true },
        Quote { mark: "'''", escapes: true, over_lines: true },
        DOUBLE,
        SINGLE,
    ],
    words: &[
        "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
        "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
        "not", "or", "pass", "raise", "return", "self", "try", "while", "with", "yield",
    ],
    ..NOTHING
};

static C: Grammar = Grammar {
    words: &[
        "auto",
        "bool",
        "break",
        "case",
        "char",
        "class",
        "const",
        "continue",
        "default",
        "delete",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "false",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "namespace",
        "new",
        "nullptr",
        "private",
        "public",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "template",
        "this",
        "true",
        "typedef",
        "union",
        "unsigned",
        "using",
        "virtual",
        "void",
        "volatile",
        "while",
        "NULL",
        "size_t",
    ],
    directives: true,
    ..C_LIKE
};

static JAVASCRIPT: Grammar = Grammar {
    quotes: &[DOUBLE, SINGLE, BACKTICK],
    words: &[
        "async",
        "await",
        "break",
        "case",
        "catch",
        "class",
        "const",
        "continue",
        "default",
        "delete",
        "do",
        "else",
        "export",
        "extends",
        "false",
        "finally",
        "for",
        "from",
        "function",
        "if",
        "import",
        "in",
        "instanceof",
        "interface",
        "let",
        "new",
        "null",
        "of",
        "return",
        "static",
        "super",
        "switch",
        "this",
        "throw",
        "true",
        "try",
        "type",
        "typeof",
        "undefined",
        "var",
        "void",
        "while",
        "yield",
    ],
    ..C_LIKE
};

static RUST: Grammar = Grammar {
    quotes: &[DOUBLE],
    words: &[
        "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern", "false", "fn",
        "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return", "self",
        "Self", "static", "struct", "super", "trait", "true", "type", "unsafe", "use", "where", "while",
    ],
    ..C_LIKE
};

static JAVA: Grammar = Grammar {
    words: &[
        "abstract",
        "boolean",
        "break",
        "case",
        "catch",
        "class",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extends",
        "false",
        "final",
        "finally",
        "float",
        "for",
        "fun",
        "if",
        "implements",
        "import",
        "int",
        "interface",
        "long",
        "new",
        "null",
        "object",
        "override",
        "package",
        "private",
        "protected",
        "public",
        "return",
        "static",
        "super",
        "switch",
        "this",
        "throw",
        "throws",
        "true",
        "try",
        "val",
        "var",
        "void",
        "when",
        "while",
    ],
    ..C_LIKE
};

static SQL: Grammar = Grammar {
    line_comments: &["--"],
    block_comment: Some(("/*", "*/")),
    words: &[
        "add",
        "all",
        "alter",
        "and",
        "as",
        "asc",
        "begin",
        "by",
        "case",
        "commit",
        "create",
        "database",
        "default",
        "delete",
        "desc",
        "distinct",
        "drop",
        "else",
        "end",
        "exists",
        "from",
        "grant",
        "group",
        "having",
        "in",
        "index",
        "insert",
        "into",
        "is",
        "join",
        "key",
        "left",
        "like",
        "limit",
        "not",
        "null",
        "on",
        "or",
        "order",
        "primary",
        "references",
        "select",
        "set",
        "show",
        "table",
        "then",
        "to",
        "union",
        "unique",
        "update",
        "use",
        "user",
        "values",
        "view",
        "when",
        "where",
        "with",
    ],
    any_case: true,
    ..NOTHING
};

static MAKE: Grammar = Grammar { line_comments: &["#"], variables: true, ..NOTHING };

static HCL: Grammar = Grammar {
    line_comments: &["#", "//"],
    block_comment: Some(("/*", "*/")),
    words: &[
        "resource",
        "variable",
        "output",
        "provider",
        "module",
        "data",
        "locals",
        "terraform",
        "true",
        "false",
        "null",
    ],
    ..NOTHING
};

/// By the lower-case word after a fence.
pub fn grammar(name: &str) -> Option<&'static Grammar> {
    Some(match name {
        "go" | "golang" => &GO,
        "python" | "python3" | "py" => &PYTHON,
        "c" | "cpp" | "c++" | "h" | "cs" | "csharp" => &C,
        "js" | "javascript" | "ts" | "typescript" | "node" | "jsx" | "tsx" | "mjs" => &JAVASCRIPT,
        "rust" => &RUST,
        "java" | "kotlin" | "kt" | "scala" | "groovy" => &JAVA,
        "sql" | "mysql" | "postgres" | "postgresql" => &SQL,
        "make" | "makefile" => &MAKE,
        "hcl" | "terraform" | "tf" => &HCL,
        _ => return None,
    })
}
