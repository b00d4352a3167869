//! Who may reach whom: what the network lets through between the pods of a cluster, its users and storage.

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::labels::Component;
use crate::names::Names;
use crate::objects::{EXECUTORS_PORT, USERS_PORT, metadata, pods};
use crate::spec::ClusterSpec;

/// The port of those who know the names of hosts.
const NAMES: i32 = 53;
/// The port of Kerberos, which speaks UDP too.
const KERBEROS: u16 = 88;

/// Everybody may reach the port of users, and executors theirs.
pub(crate) fn policy_of_scheduler(spec: &ClusterSpec, names: &Names) -> NetworkPolicy {
    let users = NetworkPolicyIngressRule { from: None, ports: Some(vec![tcp(USERS_PORT)]) };
    let executors = NetworkPolicyIngressRule {
        from: Some(vec![peer(spec, Component::Executor)]),
        ports: Some(vec![tcp(EXECUTORS_PORT)]),
    };
    NetworkPolicy {
        metadata: metadata(spec, &names.scheduler(), None),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods(spec, Component::Scheduler)),
            policy_types: Some(vec!["Ingress".to_string()]),
            ingress: Some(vec![users, executors]),
            // It has to reach Kubernetes, which is wherever it is.
            egress: None,
        }),
    }
}

/// Only the scheduler and other executors reach an executor, and it reaches these, storage, and the names of hosts.
pub(crate) fn policy_of_executors(spec: &ClusterSpec, names: &Names) -> NetworkPolicy {
    let cluster = vec![peer(spec, Component::Scheduler), peer(spec, Component::Executor)];
    let within = NetworkPolicyEgressRule { to: Some(cluster.clone()), ports: None };
    NetworkPolicy {
        metadata: metadata(spec, &names.executor(), None),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods(spec, Component::Executor)),
            policy_types: Some(vec!["Ingress".to_string(), "Egress".to_string()]),
            ingress: Some(vec![NetworkPolicyIngressRule { from: Some(cluster), ports: None }]),
            egress: Some(outward(spec, within)),
        }),
    }
}

/// Nobody reaches a job, and it reaches the scheduler as users do, storage, and the names of hosts.
pub(crate) fn policy_of_jobs(spec: &ClusterSpec, names: &Names) -> NetworkPolicy {
    let scheduler = NetworkPolicyEgressRule {
        to: Some(vec![peer(spec, Component::Scheduler)]),
        ports: Some(vec![tcp(USERS_PORT)]),
    };
    NetworkPolicy {
        metadata: metadata(spec, &names.jobs(), None),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods(spec, Component::Job)),
            policy_types: Some(vec!["Ingress".to_string(), "Egress".to_string()]),
            ingress: None,
            egress: Some(outward(spec, scheduler)),
        }),
    }
}

/// What a pod of a cluster reaches: something of its cluster, the names of hosts, and storage.
fn outward(spec: &ClusterSpec, within: NetworkPolicyEgressRule) -> Vec<NetworkPolicyEgressRule> {
    let hosts = NetworkPolicyEgressRule { to: None, ports: Some(vec![tcp(NAMES), udp(NAMES)]) };
    let mut ports: Vec<NetworkPolicyPort> = spec.storage_ports.iter().map(|port| tcp(i32::from(*port))).collect();
    if spec.storage_ports.contains(&KERBEROS) {
        ports.push(udp(i32::from(KERBEROS)));
    }
    let mut egress = vec![within, hosts];
    // A rule without ports would be one for all.
    if !ports.is_empty() {
        egress.push(NetworkPolicyEgressRule { to: Some(anywhere()), ports: Some(ports) });
    }
    egress
}

fn peer(spec: &ClusterSpec, component: Component) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(pods(spec, component)), ..NetworkPolicyPeer::default() }
}

/// All pods, and all addresses but those of the link, where clouds hand out the keys of their machines.
fn anywhere() -> Vec<NetworkPolicyPeer> {
    let block = |cidr: &str, except: &str| NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr: cidr.to_string(), except: Some(vec![except.to_string()]) }),
        ..NetworkPolicyPeer::default()
    };
    let pods = NetworkPolicyPeer { namespace_selector: Some(LabelSelector::default()), ..NetworkPolicyPeer::default() };
    vec![pods, block("0.0.0.0/0", "169.254.0.0/16"), block("::/0", "fe80::/10")]
}

fn tcp(number: i32) -> NetworkPolicyPort {
    NetworkPolicyPort { port: Some(IntOrString::Int(number)), protocol: Some("TCP".to_string()), end_port: None }
}

fn udp(number: i32) -> NetworkPolicyPort {
    NetworkPolicyPort { protocol: Some("UDP".to_string()), ..tcp(number) }
}
