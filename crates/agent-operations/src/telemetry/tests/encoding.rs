//! What is written on the wire.

use super::*;

fn resource_of(variables: &[(&str, &str)]) -> opentelemetry_proto::tonic::resource::v1::Resource {
    resource::of(&Environment::from_pairs(variables.iter().copied()))
}

#[test]
fn figures_become_what_the_definitions_say() {
    let all = requests(&figures().totals(), &resource_of(&[]));
    assert_eq!(all.len(), 1);
    let request = &all[0];
    let duration = find(request, "gen_ai.client.operation.duration");
    assert_eq!(duration.unit, "s");
    assert!(!duration.description.is_empty());
    let Some(metric::Data::Histogram(histogram)) = &duration.data else {
        panic!("{duration:?}")
    };
    assert_eq!(histogram.aggregation_temporality, 2, "cumulative");
    let point = &histogram.data_points[0];
    assert_eq!(point.explicit_bounds.len() + 1, point.bucket_counts.len());
    assert_eq!(point.explicit_bounds[..2], [0.01, 0.02]);
    assert_eq!(point.bucket_counts[..3], [1, 2, 0]);
    assert_eq!(point.bucket_counts.last(), Some(&1));
    assert_eq!((point.count, point.bucket_counts.iter().sum::<u64>()), (4, 4));
    assert!((point.sum.unwrap() - 700.035).abs() < 1e-9);
    assert_eq!(text(&point.attributes, "gen_ai.request.model"), "claude-opus-5-5");
    assert_eq!(text(&point.attributes, "server.port"), "443 as a number");
    assert!(point.start_time_unix_nano > 0 && point.time_unix_nano >= point.start_time_unix_nano);

    let Some(metric::Data::Sum(sum)) = &find(request, "claude.requests").data else {
        panic!("a counter is a sum")
    };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2 && sum.data_points.len() == 2);
    assert_eq!(
        sum.data_points[1].value,
        Some(number_data_point::Value::AsDouble(3.0))
    );

    let load = find(request, "timing.load");
    let Some(metric::Data::Histogram(histogram)) = &load.data else {
        panic!("{load:?}")
    };
    assert_eq!(
        (load.unit.as_str(), histogram.data_points[0].sum),
        ("s", Some(0.25))
    );
    let score = find(request, "health.score");
    let Some(metric::Data::Gauge(gauge)) = &score.data else {
        panic!("{score:?}")
    };
    assert_eq!(
        (score.unit.as_str(), gauge.data_points[0].value),
        ("1", Some(number_data_point::Value::AsDouble(0.75)))
    );
    assert!(matches!(
        find(request, "process.cpu.time").data,
        Some(metric::Data::Sum(_))
    ));
}

#[test]
fn many_series_come_in_several_requests_and_none_is_lost() {
    let figures = MetricsCollector::new();
    for number in 0..2000 {
        figures.increment("claude.errors", &[("error.type", &*number.to_string())], 1);
    }
    let most = 10_000;
    let all = requests_of(&figures.totals(), &resource_of(&[]), most);
    assert!(all.len() > 5, "{}", all.len());
    let mut points = 0;
    for request in &all {
        assert!(request.encoded_len() < 4 * most, "{}", request.encoded_len());
        for metric in &request.resource_metrics[0].scope_metrics[0].metrics {
            if let (Some(metric::Data::Sum(sum)), "claude.errors") = (&metric.data, &*metric.name) {
                points += sum.data_points.len();
            }
        }
    }
    assert_eq!(points, 2000);
}

#[test]
fn the_resource_says_who_sends_and_the_variables_win() {
    let plain = resource_of(&[]);
    assert_eq!(text(&plain.attributes, "service.name"), "claude-agent");
    let named = resource_of(&[
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=a,deployment.environment.name=eu%2Cwest,=x,broken",
        ),
        ("OTEL_SERVICE_NAME", "b"),
    ]);
    assert_eq!(text(&named.attributes, "service.name"), "b");
    assert_eq!(text(&named.attributes, "deployment.environment.name"), "eu,west");
}
