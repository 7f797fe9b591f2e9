"""What the model is worth in money."""

from mlwatch.catalogue.spec import MetricSpec

SPECS = (
    MetricSpec(
        "customers_at_risk",
        "customers",
        "gauge",
        "",
        "Customers whose score lies in a tier of risk.",
        ("tier",),
    ),
    MetricSpec(
        "revenue_at_risk", "currency", "gauge", "down", "Value of the customers at high risk."
    ),
    MetricSpec(
        "contact_cost", "currency", "gauge", "", "Cost of contacting the customers at high risk."
    ),
    MetricSpec(
        "revenue_saved",
        "currency",
        "gauge",
        "up",
        "Value of the contacted customers who are expected to stay for it.",
    ),
    MetricSpec(
        "retention_roi",
        "ratio",
        "gauge",
        "up",
        "Revenue saved beyond the cost of contact, over that cost.",
    ),
)
