//! Objects that the cluster itself needs, made at the first start.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams};
use minicloud_auth::pki::CertSpec;
use serde_json::{Value, json};

use crate::identities::Identities;
use crate::settings::Settings;

/// Makes what is missing. What is there stays as it is, but for the definitions of our own kinds, which are this release's.
///
/// # Errors
/// When the API refuses.
pub async fn cluster_objects(identities: &Identities, settings: &Settings) -> anyhow::Result<()> {
    let client = identities.client(&CertSpec::admin())?;
    for definition in [
        minicloud_characterization::definition::definition(),
        minicloud_controllers::resizer_definition(),
        minicloud_probes::definition::definition(),
    ] {
        define(client.clone(), definition).await?;
    }
    let services: Api<Service> = Api::namespaced(client, "kube-system");
    if services.get_opt("kube-dns").await?.is_none() {
        services
            .create(&PostParams::default(), &dns_service(settings))
            .await?;
    }
    Ok(())
}

/// Makes a definition, or brings that of an earlier release up to date. Nothing is written when it is as it should be.
async fn define(client: kube::Client, wanted: Value) -> kube::Result<()> {
    let resource = ApiResource {
        group: "apiextensions.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "apiextensions.k8s.io/v1".to_owned(),
        kind: "CustomResourceDefinition".to_owned(),
        plural: "customresourcedefinitions".to_owned(),
    };
    let definitions: Api<DynamicObject> = Api::all_with(client, &resource);
    let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
    if definitions.get_opt(name).await?.is_none() {
        let definition = serde_json::from_value(wanted).map_err(kube::Error::SerdeError)?;
        return definitions
            .create(&PostParams::default(), &definition)
            .await
            .map(drop);
    }
    let spec = Patch::Merge(json!({ "spec": wanted["spec"] }));
    definitions
        .patch(name, &PatchParams::default(), &spec)
        .await
        .map(drop)
}

/// The Service that stands for cluster DNS. It has no selector: every node answers at its address itself.
fn dns_service(settings: &Settings) -> Service {
    let port = |name: &str, protocol: &str| ServicePort {
        name: Some(name.into()),
        port: 53,
        protocol: Some(protocol.into()),
        ..ServicePort::default()
    };
    Service {
        metadata: ObjectMeta {
            name: Some("kube-dns".into()),
            labels: Some([("k8s-app".to_owned(), "kube-dns".to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            cluster_ip: Some(settings.cluster_dns.to_string()),
            ports: Some(vec![port("dns", "UDP"), port("dns-tcp", "TCP")]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
