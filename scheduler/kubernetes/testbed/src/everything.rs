//! What stands in a namespace, so that a test can say that nothing is left of something.

use kube::api::{DynamicObject, ListParams};
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Api, Client, ResourceExt};

/// Everything that stands in a namespace, of every kind that Kubernetes has: `KIND NAME`. Events are not things but news.
pub async fn everything(client: &Client, namespace: &str) -> Vec<String> {
    let discovery = Discovery::new(client.clone()).run().await.unwrap();
    let mut all = Vec::new();
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            let is_listed = capabilities.scope == Scope::Namespaced && capabilities.supports_operation(verbs::LIST);
            if !is_listed || resource.kind == "Event" {
                continue;
            }
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
            for object in api.list(&ListParams::default()).await.unwrap() {
                let mut name = object.name_any();
                // The token of a service account is made anew, under another name.
                if let (Some((account, _)), "Secret") = (name.split_once("-token-"), resource.kind.as_str()) {
                    name = format!("{account}-token");
                }
                all.push(format!("{} {name}", resource.kind));
            }
        }
    }
    all.sort();
    all
}
