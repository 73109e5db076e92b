//! Which cgroup is whose. Pure.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use futures::future::BoxFuture;
use minicloud_exporter::samples::push_escaped;

/// A pod that runs here.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pod {
    /// Its UID, as its cgroup is called.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// When it was made here, seconds since 1970.
    pub created_seconds: f64,
}

/// What has a cgroup within its pod's: a container, a sandbox, or (one day) a virtual machine.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Member {
    /// The UID of its pod.
    pub pod_uid: String,
    /// The folder of its cgroup within the pod's; for containers their id.
    pub cgroup: String,
    /// The name of the container in the pod; empty for a sandbox, which holds the pod's network.
    pub container: String,
    /// The image it was made of.
    pub image: String,
    /// When it was made, seconds since 1970.
    pub created_seconds: f64,
}

/// What runs here, as who runs it says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listed {
    /// The pods.
    pub pods: Vec<Pod>,
    /// What is in them.
    pub members: Vec<Member>,
}

/// Asks who runs the pods what runs. An error is a sentence for the log; the next scrape asks again.
pub type Lister = Arc<dyn Fn() -> BoxFuture<'static, Result<Listed, String>> + Send + Sync>;

/// A cgroup that was found below the folder of pods.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Its path from the hierarchy's root on, as `/minicloud/burstable/podUID/ID`.
    pub path: String,
    /// Whose.
    pub kind: PlaceKind,
}

impl Place {
    pub(crate) fn new(path: &str, kind: PlaceKind) -> Self {
        let path = path.to_owned();
        Self { path, kind }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PlaceKind {
    /// The root, or a level above pods.
    Level,
    Pod,
    Member,
}

/// What a cgroup is to the reader of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Root,
    Level,
    Pod,
    Sandbox,
    Container,
}

/// A cgroup that is known.
#[derive(Debug, PartialEq)]
pub(crate) struct Identity {
    pub role: Role,
    /// Its labels, as they stand between the braces of each of its samples.
    pub labels: String,
    /// When it was made; `None` for the levels above pods.
    pub created_seconds: Option<f64>,
}

/// The cgroups that are known, by path.
pub(crate) type Known = HashMap<String, Arc<Identity>>;

/// Forgets what is gone.
pub(crate) fn forget(known: &mut Known, places: &[Place]) {
    if known.len() > places.len() {
        let here: std::collections::HashSet<&str> =
            places.iter().map(|place| place.path.as_str()).collect();
        known.retain(|path, _| here.contains(path.as_str()));
    }
}

/// Takes over what is listed. Places that nobody owns to stay unknown: a cgroup that is being made or was left behind.
pub(crate) fn learn(known: &mut Known, places: &[Place], listed: &Listed) {
    let pods: HashMap<&str, &Pod> = listed
        .pods
        .iter()
        .map(|pod| (pod.uid.as_str(), pod))
        .collect();
    let members: HashMap<(&str, &str), &Member> = listed
        .members
        .iter()
        .map(|member| ((member.pod_uid.as_str(), member.cgroup.as_str()), member))
        .collect();
    for place in places {
        if known.contains_key(&place.path) {
            continue;
        }
        let identity = match place.kind {
            PlaceKind::Level => Some(level(&place.path)),
            PlaceKind::Pod => pod_uid(&place.path)
                .and_then(|uid| pods.get(uid))
                .map(|pod| pod_identity(&place.path, pod)),
            PlaceKind::Member => place.path.rsplit_once('/').and_then(|(above, cgroup)| {
                let uid = pod_uid(above)?;
                let member = members.get(&(uid, cgroup))?;
                Some(member_identity(&place.path, pods.get(uid)?, member))
            }),
        };
        if let Some(identity) = identity {
            known.insert(place.path.clone(), Arc::new(identity));
        }
    }
}

/// The UID in the path of a pod's cgroup.
fn pod_uid(path: &str) -> Option<&str> {
    path.rsplit('/').next()?.strip_prefix("pod")
}

fn level(path: &str) -> Identity {
    Identity {
        role: if path == "/" { Role::Root } else { Role::Level },
        labels: labels(path, "", "", "", "", ""),
        created_seconds: None,
    }
}

fn pod_identity(path: &str, pod: &Pod) -> Identity {
    Identity {
        role: Role::Pod,
        labels: labels(path, "", "", "", &pod.namespace, &pod.name),
        created_seconds: Some(pod.created_seconds),
    }
}

fn member_identity(path: &str, pod: &Pod, member: &Member) -> Identity {
    let Member {
        container, image, ..
    } = member;
    Identity {
        role: if container.is_empty() {
            Role::Sandbox
        } else {
            Role::Container
        },
        labels: labels(
            path,
            container,
            image,
            &member.cgroup,
            &pod.namespace,
            &pod.name,
        ),
        created_seconds: Some(member.created_seconds),
    }
}

fn labels(
    id: &str,
    container: &str,
    image: &str,
    name: &str,
    namespace: &str,
    pod: &str,
) -> String {
    let mut text = String::new();
    for (label, value) in [
        ("container", container),
        ("id", id),
        ("image", image),
        ("name", name),
        ("namespace", namespace),
        ("pod", pod),
    ] {
        let separator = if text.is_empty() { "" } else { "," };
        // Writing to a String does not fail.
        let _ = write!(text, "{separator}{label}=\"");
        push_escaped(&mut text, value);
        text.push('"');
    }
    text.shrink_to_fit();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> Listed {
        let pod = Pod {
            uid: "u".into(),
            namespace: "shop".into(),
            name: "web".into(),
            created_seconds: 5.0,
        };
        let member = |cgroup: &str, container: &str, image: &str| Member {
            pod_uid: "u".into(),
            cgroup: cgroup.into(),
            container: container.into(),
            image: image.into(),
            created_seconds: 6.0,
        };
        Listed {
            pods: vec![pod],
            members: vec![member("s", "", "pause:1"), member("c", "n\"x", "nginx")],
        }
    }

    #[test]
    fn labels_are_the_kubelets() {
        let places = [
            Place::new("/", PlaceKind::Level),
            Place::new("/mc/burstable", PlaceKind::Level),
            Place::new("/mc/burstable/podu", PlaceKind::Pod),
            Place::new("/mc/burstable/podu/s", PlaceKind::Member),
            Place::new("/mc/burstable/podu/c", PlaceKind::Member),
        ];
        let mut known = Known::default();
        learn(&mut known, &places, &listed());
        let shown: Vec<String> = places
            .iter()
            .map(|place| {
                let Identity {
                    role,
                    labels,
                    created_seconds,
                } = &*known[&place.path];
                format!("{role:?} {created_seconds:?} {labels}\n")
            })
            .collect();
        expect_test::expect![[r#"
            Root None container="",id="/",image="",name="",namespace="",pod=""
            Level None container="",id="/mc/burstable",image="",name="",namespace="",pod=""
            Pod Some(5.0) container="",id="/mc/burstable/podu",image="",name="",namespace="shop",pod="web"
            Sandbox Some(6.0) container="",id="/mc/burstable/podu/s",image="pause:1",name="s",namespace="shop",pod="web"
            Container Some(6.0) container="n\"x",id="/mc/burstable/podu/c",image="nginx",name="c",namespace="shop",pod="web"
        "#]]
        .assert_eq(&shown.concat());
    }

    #[test]
    fn strangers_stay_unknown_and_what_is_gone_is_forgotten() {
        let pod = Place::new("/mc/podu", PlaceKind::Pod);
        let container = Place::new("/mc/podu/c", PlaceKind::Member);
        let strangers = [
            Place::new("/mc/podv", PlaceKind::Pod),
            Place::new("/mc/podu/x", PlaceKind::Member),
            Place::new("/mc/podv/c", PlaceKind::Member),
            Place::new("/mc/u", PlaceKind::Pod),
        ];
        let places = [&[pod.clone(), container][..], &strangers].concat();
        let mut known = Known::default();
        learn(&mut known, &places, &listed());
        assert_eq!(known.len(), 2);
        let kept = known["/mc/podu"].clone();
        // What is known stays as it is; nothing of it is made anew.
        learn(&mut known, &places, &Listed::default());
        assert!(Arc::ptr_eq(&kept, &known["/mc/podu"]));
        forget(&mut known, &[pod]);
        assert_eq!(known.keys().collect::<Vec<_>>(), ["/mc/podu"]);
    }
}
