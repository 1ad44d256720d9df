package notify

import (
	"stallwatch/cmd/internal/advise"
	"stallwatch/detect"
)

// legAdvice is what both legs of a proxy say should be done; "" if the capture
// has but one.
func legAdvice(a *detect.Alert) string {
	return advise.LegCure(a.Name, advise.LegOf(&a.Evidence.Leg))
}
