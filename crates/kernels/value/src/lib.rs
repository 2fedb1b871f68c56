//! What an error costs: from residuals to money.

/// Cost of one unit of error on either side, in a currency, and the volume it happens at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CostOfError {
    /// Per unit that the prediction lies below the truth.
    pub under: f64,
    /// Per unit that the prediction lies above the truth.
    pub over: f64,
    /// Predictions per month.
    pub volume_per_month: f64,
}

impl CostOfError {
    /// cost(p, y) = under·max(y − p, 0) + over·max(p − y, 0), the asymmetric absolute loss
    /// (Koenker & Bassett 1978, eq. 3.3, with two free slopes). NaN in, NaN out.
    ///
    /// ```
    /// let cost = kernel_value::CostOfError { under: 1.0, over: 0.5, volume_per_month: 1000.0 };
    /// assert_eq!(cost.of(10.0, 12.5), 2.5);
    /// assert_eq!(cost.of(12.0, 10.0), 1.0);
    /// assert_eq!(cost.per_month(1.25), 1250.0);
    /// ```
    pub fn of(&self, prediction: f64, truth: f64) -> f64 {
        let shortfall = truth - prediction;
        if shortfall >= 0.0 { self.under * shortfall } else { -self.over * shortfall }
    }

    /// Money a month at this mean cost per prediction.
    pub fn per_month(&self, mean_cost: f64) -> f64 {
        mean_cost * self.volume_per_month
    }
}
