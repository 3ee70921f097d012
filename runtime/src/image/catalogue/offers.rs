//! The table of offers.

use super::{Answer, Made, Offer, Runs};
use crate::image::recipe;

/// Where shells look for commands, in Debian's order.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const UTF8: &str = "LANG=C.UTF-8";

const NOTHING: Runs = Runs {
    env: &[PATH],
    entrypoint: &[],
    cmd: &[],
    working_dir: "",
    exposed_ports: &[],
    volumes: &[],
    stop_signal: "",
};

/// A learner's machine.
const SHELL: Runs = Runs { env: &[PATH, UTF8], cmd: &["bash"], ..NOTHING };

const fn any(repository: &'static str) -> Answer {
    Answer { repository, but: &[] }
}

/// In the order in which `prepare` makes them: the quick one first, then what learners sit at.
pub static CATALOGUE: &[Offer] = &[
    Offer {
        name: "host",
        answers: &[],
        summary: "Commands borrowed from this host; packages cannot be installed",
        stands_in_for: None,
        is_machine: true,
        made: Made::Host,
        runs: SHELL,
    },
    Offer {
        name: "learner",
        answers: &[],
        summary: "Debian 12 with the tools of the lessons",
        stands_in_for: None,
        is_machine: true,
        made: Made::Of(&[&recipe::LEARNER]),
        runs: SHELL,
    },
    Offer {
        name: "learner-docker",
        answers: &[],
        summary: "Debian 12 with the tools of the lessons and Docker's command line",
        stands_in_for: None,
        is_machine: true,
        made: Made::Of(&[&recipe::LEARNER, &recipe::DOCKER]),
        runs: SHELL,
    },
    Offer {
        name: "hello-world",
        answers: &[any("hello-world")],
        summary: "One program that says hello; stands in for Docker's hello-world",
        stands_in_for: Some("docker.io/library/hello-world"),
        is_machine: false,
        made: Made::Of(&[&recipe::HELLO]),
        runs: Runs { cmd: &["/hello"], ..NOTHING },
    },
    Offer {
        name: "busybox",
        answers: &[any("busybox")],
        summary: "BusyBox 1.35 from Debian 12; stands in for Docker Hub's busybox",
        stands_in_for: Some("docker.io/library/busybox"),
        is_machine: false,
        made: Made::Of(&[&recipe::BUSYBOX]),
        runs: Runs { cmd: &["sh"], ..NOTHING },
    },
    Offer {
        name: "alpine",
        answers: &[any("alpine")],
        summary: "BusyBox from Debian 12, without apk; stands in for Alpine Linux",
        stands_in_for: Some("docker.io/library/alpine"),
        is_machine: false,
        made: Made::Of(&[&recipe::BUSYBOX, &recipe::ALPINE]),
        runs: Runs { cmd: &["/bin/sh"], ..NOTHING },
    },
    Offer {
        name: "golang",
        answers: &[any("golang")],
        summary: "Go 1.21 from Debian on BusyBox, with modules that need no network; stands in for golang",
        stands_in_for: Some("docker.io/library/golang"),
        is_machine: false,
        made: Made::Of(&[&recipe::BUSYBOX, &recipe::ALPINE, &recipe::GO, &recipe::GO_CACHE, &recipe::GO_MODULES]),
        runs: Runs {
            env: &[
                "PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "GOLANG_VERSION=1.21.13",
                "GOTOOLCHAIN=local",
                "GOPATH=/go",
                // Modules are in the image, and are not those that the public database knows the sums of.
                "GOPROXY=file:///usr/local/share/goproxy,direct",
                "GOSUMDB=off",
            ],
            cmd: &["sh"],
            working_dir: "/go",
            ..NOTHING
        },
    },
    Offer {
        name: "debian",
        answers: &[any("debian")],
        summary: "A small Debian 12, made here of Debian's packages; stands in for Docker Hub's debian",
        stands_in_for: Some("docker.io/library/debian"),
        is_machine: false,
        made: Made::Of(&[&recipe::BASE]),
        runs: Runs { cmd: &["bash"], ..NOTHING },
    },
    Offer {
        name: "ubuntu",
        answers: &[any("ubuntu")],
        summary: "A small Debian 12, which is like Ubuntu and is not; stands in for ubuntu",
        stands_in_for: Some("docker.io/library/ubuntu"),
        is_machine: false,
        made: Made::Of(&[&recipe::BASE]),
        runs: Runs { cmd: &["/bin/bash"], ..NOTHING },
    },
    Offer {
        name: "nginx",
        answers: &[any("nginx")],
        summary: "nginx 1.22 on Debian 12; stands in for Docker Hub's nginx",
        stands_in_for: Some("docker.io/library/nginx"),
        is_machine: false,
        made: Made::Of(&[&recipe::BASE, &recipe::NGINX]),
        runs: Runs {
            env: &[PATH, "NGINX_VERSION=1.22.1"],
            entrypoint: &["/docker-entrypoint.sh"],
            cmd: &["nginx", "-g", "daemon off;"],
            exposed_ports: &["80/tcp"],
            stop_signal: "SIGQUIT",
            ..NOTHING
        },
    },
    Offer {
        name: "redis",
        answers: &[any("redis")],
        summary: "Redis 7.0 on Debian 12; stands in for Docker Hub's redis",
        stands_in_for: Some("docker.io/library/redis"),
        is_machine: false,
        made: Made::Of(&[&recipe::BASE, &recipe::REDIS]),
        runs: Runs {
            env: &[PATH, "REDIS_VERSION=7.0.15"],
            entrypoint: &["docker-entrypoint.sh"],
            cmd: &["redis-server"],
            working_dir: "/data",
            exposed_ports: &["6379/tcp"],
            volumes: &["/data"],
            ..NOTHING
        },
    },
    Offer {
        name: "python",
        answers: &[Answer { repository: "python", but: &["2"] }],
        summary: "Python 3.11 with pip on Debian 12; stands in for Docker Hub's python",
        stands_in_for: Some("docker.io/library/python"),
        is_machine: false,
        made: Made::Of(&[&recipe::BASE, &recipe::PYTHON]),
        runs: Runs { env: &[PATH, UTF8, "PYTHON_VERSION=3.11.2"], cmd: &["python3"], ..NOTHING },
    },
];
