//! `COPY … TO 'URL'`: DataFusion writes to stores that it knows by scheme and host; ours are made known to it, under the
//! URL that it can take apart.

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::LogicalPlan;
use eos_io::Stores;

use crate::error::Error;

/// Makes the store known that a plan writes to, if it is not a local one.
pub(crate) fn resolve(mut plan: LogicalPlan, stores: &Stores, runtime: &RuntimeEnv) -> Result<LogicalPlan, Error> {
    let LogicalPlan::Copy(copy) = &mut plan else { return Ok(plan) };
    if !eos_io::is_url(&copy.output_url) {
        return Ok(plan);
    }
    let is_folder = copy.output_url.ends_with('/');
    let location = stores.resolve(&copy.output_url)?;
    runtime.register_object_store(&location.url, location.store.clone());
    let mut url = location.url;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().extend(location.path.parts().map(|part| part.as_ref().to_owned()));
        if is_folder {
            segments.push("");
        }
    }
    copy.output_url = url.into();
    Ok(plan)
}
