//! What an `imageid` means here: which image, host name and prompt, and what such a machine lacks.
//!
//! The meanings are data, one file each in `lessons/environments/`. It knows nothing of how a machine is made.

use std::sync::LazyLock;

use serde::Deserialize;

use super::model::{Environment, Lack};

/// One file of `lessons/environments/`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    image: String,
    hostname: String,
    prompt: String,
    /// A program of the image that starts what such a machine has running; an image without it starts nothing.
    starts: Option<String>,
    /// Names that mean this; a `*` at the end stands for anything.
    imageids: Vec<String>,
    /// Why no scenario can be played in it.
    refuses: Option<Refusal>,
    /// What it lacks, said when a scenario asks for it: the words of `needs`.
    lacks: Vec<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Refusal {
    Kubernetes,
}

/// An `imageid` as it was understood.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub environment: Environment,
    /// Why the scenario cannot be played.
    pub refusal: Option<Lack>,
    /// What the machine lacks, if a scenario should ask for it.
    pub lacking: &'static [String],
}

/// The first is what an unknown name means.
static DEFINITIONS: LazyLock<Vec<Definition>> = LazyLock::new(|| {
    let files = [
        include_str!("../../../lessons/environments/ubuntu.toml"),
        include_str!("../../../lessons/environments/quayside.toml"),
        include_str!("../../../lessons/environments/kubernetes.toml"),
    ];
    files.iter().map(|file| toml::from_str(file).expect("the bundled environments are read by a test")).collect()
});

/// What a scenario's `backend.imageid` means. A machine of the operator's own catalogue goes by its name.
pub fn resolve(imageid: Option<&str>, machines: &[String]) -> Resolved {
    if let Some(name) = machines.iter().find(|name| imageid == Some(name.as_str())) {
        return of_this_installation(name);
    }
    let known = imageid.and_then(|imageid| DEFINITIONS.iter().find(|definition| definition.is_called(imageid)));
    let definition = known.unwrap_or(&DEFINITIONS[0]);
    let note = match (known, imageid) {
        (None, Some(imageid)) => Some(format!(
            "The scenario asks for the machine “{imageid}”, which is not known here. You get {} instead.",
            definition.hostname
        )),
        (None, None) => Some(format!("The scenario names no machine. You get {}.", definition.hostname)),
        (Some(_), _) => None,
    };
    Resolved {
        environment: Environment {
            image: definition.image.clone(),
            hostname: definition.hostname.clone(),
            prompt: definition.prompt.clone(),
            starts: definition.starts.clone(),
            note,
        },
        refusal: definition.refuses.map(|refusal| refusal.explain(imageid.unwrap_or_default())),
        lacking: &definition.lacks,
    }
}

/// With the prompt of our own lessons, and called as it is named: letters of an image's name that a host's cannot have are
/// hyphens.
fn of_this_installation(name: &str) -> Resolved {
    let ours = DEFINITIONS.iter().find(|definition| definition.is_called("quayside"));
    let ours = ours.expect("our own lessons' environment is bundled");
    let environment = Environment {
        image: name.to_owned(),
        hostname: name.replace(['_', '.'], "-"),
        prompt: ours.prompt.clone(),
        starts: None,
        note: None,
    };
    Resolved { environment, refusal: None, lacking: &ours.lacks }
}

impl Definition {
    fn is_called(&self, imageid: &str) -> bool {
        self.imageids.iter().any(|name| match name.strip_suffix('*') {
            Some(prefix) => imageid.starts_with(prefix),
            None => imageid == name,
        })
    }
}

impl Refusal {
    fn explain(self, imageid: &str) -> Lack {
        match self {
            Self::Kubernetes => Lack {
                what: "kubernetes".into(),
                says: format!("This scenario needs a Kubernetes cluster (“{imageid}”), and there is none here."),
                fatal: true,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(imageid: Option<&str>) -> Resolved {
        super::resolve(imageid, &[])
    }

    fn image_of(imageid: Option<&str>) -> (String, String, bool, bool) {
        let resolved = resolve(imageid);
        let Environment { image, hostname, note, .. } = resolved.environment;
        (image, hostname, note.is_some(), resolved.refusal.is_some())
    }

    #[test]
    fn names_mean_what_their_files_say() {
        assert_eq!(image_of(Some("ubuntu")), ("learner".into(), "ubuntu".into(), false, false));
        assert_eq!(image_of(Some("ubuntu:2004")), ("learner".into(), "ubuntu".into(), false, false));
        assert_eq!(image_of(Some("quayside")), ("learner".into(), "quayside".into(), false, false));
        assert_eq!(resolve(Some("ubuntu")).environment.prompt, "ubuntu $ ");
        assert!(resolve(Some("quayside")).environment.prompt.contains(r"\u@\h"), "the prompt says who and where");
    }

    #[test]
    fn every_environment_is_a_machine_of_the_catalogue() {
        for definition in DEFINITIONS.iter() {
            let offer = quayside_runtime::image::catalogue::find(&definition.image);
            assert!(offer.is_some_and(|offer| offer.is_machine), "{}", definition.image);
        }
    }

    #[test]
    fn a_machine_of_the_operators_own_goes_by_its_name() {
        let machines = ["c_lab".to_owned(), "ubuntu".to_owned()];
        let Environment { image, hostname, note, .. } = super::resolve(Some("c_lab"), &machines).environment;
        assert_eq!((image.as_str(), hostname.as_str(), note), ("c_lab", "c-lab", None));
        assert_eq!(super::resolve(Some("ubuntu"), &machines).environment.image, "ubuntu");
        assert_eq!(super::resolve(Some("c"), &machines).environment.image, "learner");
    }

    #[test]
    fn an_unknown_name_gets_the_plain_machine_and_a_note() {
        assert_eq!(image_of(Some("rlang:3.4")), ("learner".into(), "ubuntu".into(), true, false));
        assert_eq!(image_of(None), ("learner".into(), "ubuntu".into(), true, false));
    }

    #[test]
    fn a_cluster_is_refused_whatever_its_version() {
        for imageid in [
            "kubernetes-kubeadm-1node",
            "kubernetes-cluster-running:1.18",
            "kubernetes-k3s-1node",
            "minikube",
            "openshift-4-7",
        ] {
            assert!(image_of(Some(imageid)).3, "{imageid}");
        }
    }
}
