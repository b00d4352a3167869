//! S3: `s3://bucket/key`, at Amazon or at any server that speaks its protocol.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, RetryConfig};

use crate::backend::{Address, Backend};
use crate::error::Error;
use crate::parts::{Parts, normalized};
use crate::settings::{HttpSettings, S3Settings, Settings};
use crate::site::{Site, Spelling, identity};

/// Where credentials come from that the environment names; one of each suffices.
const CREDENTIALS: [&str; 4] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/// How long a request may take altogether; an upload of 16 MiB over a slow line is the longest.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);

/// Buckets of S3.
#[derive(Debug)]
pub(crate) struct S3 {
    settings: S3Settings,
    http: HttpSettings,
}

impl S3 {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { settings: settings.s3.clone(), http: settings.http.clone() }
    }

    /// The builder for a bucket in an environment.
    fn builder(&self, site: &Site, variables: &[(String, String)]) -> Result<AmazonS3Builder, Error> {
        let spec = site.name(&Path::default());
        let variable =
            |name: &str| variables.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value);
        let mut builder = AmazonS3Builder::new().with_bucket_name(site.identity.host_str().unwrap_or_default());
        for (name, value) in variables {
            if let Some(key) = name.strip_prefix("AWS_").and_then(|_| name.to_ascii_lowercase().parse().ok()) {
                builder = builder.with_config(key, value);
            }
        }
        let settings = &self.settings;
        // Times are for whole requests here, with all that they carry.
        let options =
            ClientOptions::new().with_connect_timeout(self.http.connect_timeout).with_timeout(REQUEST_TIMEOUT);
        let retries = self.http.retries.try_into().unwrap_or(usize::MAX);
        builder = builder.with_client_options(options).with_retry(RetryConfig {
            max_retries: retries,
            retry_timeout: REQUEST_TIMEOUT,
            ..RetryConfig::default()
        });
        let region =
            settings.region.as_ref().or_else(|| variable("AWS_REGION")).or_else(|| variable("AWS_DEFAULT_REGION"));
        builder = builder.with_region(region.map_or("us-east-1", String::as_str));
        let named = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"].into_iter().find_map(variable);
        let endpoint = settings.endpoint.as_ref().or(named);
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        builder = builder.with_virtual_hosted_style_request(settings.virtual_hosted);
        let is_anonymous = settings.anonymous || variable("AWS_SKIP_SIGNATURE").is_some_and(|value| value != "false");
        if is_anonymous {
            return Ok(builder.with_skip_signature(true));
        }
        if !settings.machine_role && CREDENTIALS.iter().all(|name| variable(name).is_none()) {
            return Err(Error::Unauthenticated {
                spec,
                message: "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
                          AWS_SKIP_SIGNATURE=true if the bucket is public"
                    .to_owned(),
            });
        }
        Ok(builder)
    }
}

impl Backend for S3 {
    fn schemes(&self) -> &'static [&'static str] {
        &["s3", "s3a"]
    }

    fn address(&self, spec: &str) -> Result<Address, Error> {
        let parts = Parts::of(spec)?;
        if parts.user.is_some() || parts.port.is_some() || parts.query.is_some() {
            return Err(Error::invalid(
                spec,
                "what follows s3:// is the bucket and the key; server and keys are set by AWS_ENDPOINT_URL, \
                 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            ));
        }
        let bucket = match parts.host {
            "" => return Err(Error::invalid(spec, "the bucket is missing: s3://bucket/key")),
            bucket => bucket,
        };
        let path = Path::parse(normalized(spec, parts.path)?).map_err(|e| Error::invalid(spec, e))?;
        let before = format!("{}/", parts.before(spec));
        let site = Site::new(identity(spec, "s3", bucket, None, &[])?, before, String::new(), Spelling::Plain);
        Ok(Address { site, path })
    }

    fn open(&self, site: &Site) -> Result<Arc<dyn ObjectStore>, Error> {
        let variables: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let store = self.builder(site, &variables)?.build();
        let store =
            store.map_err(|e| Error::from_store(&site.name(&Path::default()), &site.name(&Path::default()), &e))?;
        Ok(Arc::new(store))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use object_store::aws::AmazonS3ConfigKey as Key;

    fn builder(settings: S3Settings, variables: &[(&str, &str)]) -> Result<AmazonS3Builder, Error> {
        let s3 = S3 { settings, http: HttpSettings::default() };
        let site = s3.address("s3://bucket/key").unwrap().site;
        let variables: Vec<_> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        s3.builder(&site, &variables)
    }

    #[test]
    fn a_key_keeps_its_characters() {
        let s3 = S3::new(&Settings::default());
        let address = s3.address("s3://bucket/a b%20+c/x.root").unwrap();
        assert_eq!(address.path.as_ref(), "a b%20+c/x.root");
        assert_eq!(address.site.identity.as_str(), "s3://bucket/");
        for spec in ["s3:///x", "s3://bucket:80/x", "s3://key:secret@bucket/x", "s3://bucket/x?a=b"] {
            let error = s3.address(spec).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidSpec, "{spec}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn without_credentials_the_error_says_which_are_missing() {
        let error = builder(S3Settings::default(), &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
        assert!(builder(S3Settings { anonymous: true, ..S3Settings::default() }, &[]).is_ok());
        assert!(builder(S3Settings::default(), &[("AWS_SKIP_SIGNATURE", "true")]).is_ok());
    }

    #[test]
    fn the_environment_is_read_and_settings_go_before_it() {
        let variables = [
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_ENDPOINT_URL", "https://s3.cern.ch"),
            ("AWS_REGION", "there"),
        ];
        let read = builder(S3Settings::default(), &variables).unwrap();
        let value = |key| read.get_config_value(&key);
        assert_eq!(value(Key::AccessKeyId).as_deref(), Some("id"));
        assert_eq!(value(Key::Endpoint).as_deref(), Some("https://s3.cern.ch"));
        assert_eq!(value(Key::Region).as_deref(), Some("there"));
        assert_eq!(value(Key::VirtualHostedStyleRequest).as_deref(), Some("false"));
        let mine = S3Settings { endpoint: Some("https://other".into()), ..S3Settings::default() };
        let set = builder(mine, &variables).unwrap();
        assert_eq!(set.get_config_value(&Key::Endpoint).as_deref(), Some("https://other"));
    }
}
