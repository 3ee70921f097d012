//! Debian's nginx, Redis and Python, set up as the images of Docker Hub are, so that Dockerfiles and commands that were
//! written for those do the same here.

use crate::image::debian::{Act, FixUp, ROOT, simple};

/// The small Debian that services lie upon.
pub const BASE: &[FixUp] = &[
    FixUp {
        reason: "accounts: without them nothing has an owner with a name [base-passwd]",
        acts: &[Act::Accounts { users: &[], groups: &[] }],
    },
    FixUp {
        reason: "shells that su and chsh accept [debianutils, bash, dash]",
        acts: &[Act::File {
            path: "etc/shells",
            mode: 0o644,
            gid: ROOT,
            text: "# /etc/shells: valid login shells\n/bin/sh\n/usr/bin/sh\n/bin/bash\n/usr/bin/bash\n/bin/rbash\n\
                   /usr/bin/rbash\n/bin/dash\n/usr/bin/dash\n",
        }],
    },
    FixUp { reason: "a pager [util-linux]", acts: &[simple("pager", "/usr/bin/pager", &[("/bin/more", 50, &[])])] },
];

pub const NGINX: &[FixUp] = &[
    FixUp {
        reason: "one site, from the folder and the file that Dockerfiles copy their own into",
        acts: &[Act::File {
            path: "etc/nginx/conf.d/default.conf",
            mode: 0o644,
            gid: ROOT,
            text: "server {\n    listen       80;\n    server_name  localhost;\n\n    location / {\n        \
                   root   /usr/share/nginx/html;\n        index  index.html index.htm;\n    }\n}\n",
        }],
    },
    FixUp {
        reason: "the page that says that it works",
        acts: &[Act::File {
            path: "usr/share/nginx/html/index.html",
            mode: 0o644,
            gid: ROOT,
            text: include_str!("files/nginx.html"),
        }],
    },
    FixUp {
        reason: "what a container logs goes to its output",
        acts: &[
            Act::Link { path: "var/log/nginx/access.log", to: "/dev/stdout" },
            Act::Link { path: "var/log/nginx/error.log", to: "/dev/stderr" },
        ],
    },
    FixUp {
        reason: "scripts that are put into /docker-entrypoint.d run before the server",
        acts: &[
            Act::File {
                path: "docker-entrypoint.sh",
                mode: 0o755,
                gid: ROOT,
                text: include_str!("files/nginx-entrypoint.sh"),
            },
            Act::Directory { path: "docker-entrypoint.d", mode: 0o755, gid: ROOT },
        ],
    },
];

pub const REDIS: &[FixUp] = &[
    FixUp {
        reason: "the account of the server [redis-tools]",
        acts: &[Act::MoreAccounts {
            users: &["redis:x:999:999::/var/lib/redis:/usr/sbin/nologin"],
            groups: &["redis:x:999:"],
        }],
    },
    FixUp {
        reason: "options alone are the server's, as in Docker's image, and it does not stay root",
        acts: &[
            Act::File {
                path: "usr/local/bin/docker-entrypoint.sh",
                mode: 0o755,
                gid: ROOT,
                text: include_str!("files/redis-entrypoint.sh"),
            },
            Act::Directory { path: "data", mode: 0o755, gid: ROOT },
        ],
    },
];

pub const PYTHON: &[FixUp] = &[
    FixUp {
        reason: "Docker's image knows it by both names, in /usr/local/bin",
        acts: &[
            Act::Link { path: "usr/local/bin/python", to: "/usr/bin/python3" },
            Act::Link { path: "usr/local/bin/python3", to: "/usr/bin/python3" },
        ],
    },
    FixUp {
        reason: "in an image of Python's own, pip may install for everybody; Debian would tell it not to",
        acts: &[Act::File {
            path: "etc/pip.conf",
            mode: 0o644,
            gid: ROOT,
            text: "[global]\nbreak-system-packages = true\n",
        }],
    },
];
