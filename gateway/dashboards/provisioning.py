"""Files that put the rest in place: Prometheus's scrape configuration, Grafana's data source and dashboards.

Sources: prometheus.io/docs/prometheus/latest/configuration/configuration, and Grafana's "Provision Grafana".
"""

from __future__ import annotations

from gateway.dashboards.rules import JOB

_PROMETHEUS = f"""\
# An example for Prometheus: scrapes one gateway and evaluates the rules. To be merged into your own configuration.
# With --enable-feature=exemplar-storage the latency graphs show single requests by their ids.
global:
  scrape_interval: 15s
  evaluation_interval: 1m

scrape_configs:
  # Alerts and the recorded series go by this job's name.
  - job_name: {JOB}
    static_configs:
      - targets: [localhost:11434]

rule_files:
  - ../../rules/llm-relay.rules.yaml
"""

_DATASOURCE = """\
# For Grafana's folder provisioning/datasources. Leave it out where Grafana has a Prometheus already: the dashboards ask
# which one to use.
apiVersion: 1
datasources:
  - name: Prometheus
    type: prometheus
    access: proxy
    url: http://localhost:9090
    jsonData:
      httpMethod: POST
      # The scrape interval: makes $__rate_interval long enough.
      timeInterval: 15s
"""

_DASHBOARDS = """\
# For Grafana's folder provisioning/dashboards; the *.json files go where `path` says.
apiVersion: 1
providers:
  - name: llm-relay
    folder: LLM Relay
    type: file
    # They are generated: what is changed in Grafana would be lost.
    allowUiUpdates: false
    options:
      path: /var/lib/grafana/dashboards/llm-relay
"""

#: Path below ``provisioning/`` to text.
FILES = {
    "prometheus/prometheus.yaml": _PROMETHEUS,
    "grafana/datasources/prometheus.yaml": _DATASOURCE,
    "grafana/dashboards/llm-relay.yaml": _DASHBOARDS,
}
