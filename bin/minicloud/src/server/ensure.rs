//! Objects that the cluster itself needs, made at the first start.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use minicloud_auth::pki::CertSpec;

use crate::identities::Identities;
use crate::settings::Settings;

/// Makes what is missing. What is there stays as it is, but for the definitions of our own kinds, which are this release's.
///
/// # Errors
/// When the API refuses.
pub async fn cluster_objects(identities: &Identities, settings: &Settings) -> anyhow::Result<()> {
    let client = identities.client(&CertSpec::admin())?;
    minicloud_characterization::definition::ensure(client.clone()).await?;
    let services: Api<Service> = Api::namespaced(client, "kube-system");
    if services.get_opt("kube-dns").await?.is_none() {
        services
            .create(&PostParams::default(), &dns_service(settings))
            .await?;
    }
    Ok(())
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
