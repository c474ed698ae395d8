package routing

import (
	"strconv"

	"tandem"
)

// maxFailsafeHops bounds a chain of failsafe numbers that are DIDs of ours.
const maxFailsafeHops = 5

// planFailsafe fills in the failsafe step of a call to a DID. It reports
// whether the call is our own forward that has come back.
//
// The step is taken only when Microsoft can't be reached, so it must never end
// at a number that is served by Microsoft: a DID of ours stands for its own
// failsafe number, and so on.
func (d *decision) planFailsafe(number *tandem.Number) (loop bool) {
	if d.forwardedBefore(number.DID) {
		d.say("loop", "the INVITE says that "+string(number.DID)+" has forwarded this call before: no failsafe forward")
		return true
	}
	if number.Failsafe == "" {
		d.say("failsafe", "no failsafe number is configured")
		return false
	}
	if d.req.Forwarded && len(d.req.Diverters) == 0 {
		d.say("loop", "the INVITE was forwarded by someone it doesn't name, who may be us: no failsafe forward")
		return false
	}
	target, why := d.failsafeTarget(number)
	if target == "" {
		d.say("failsafe", why)
		return false
	}
	if d.forwardedBefore(target) {
		d.say("loop", "the failsafe number "+string(target)+" has forwarded this call here: no failsafe forward")
		return false
	}
	list := choices(d.t.carrierOrder(d.req.Seed), d.health)
	d.Failsafe = attempts(list, string(target), d.shownFrom(), rankFirst, rankLast)
	if d.Failsafe == nil {
		d.Failsafe = attempts(list, string(target), d.shownFrom(), rankDown)
	}
	if d.Failsafe == nil {
		d.say("failsafe", "no carrier is enabled that could take a call to the failsafe number")
		return false
	}
	for i := range d.Failsafe {
		d.Failsafe[i].Failsafe, d.Failsafe[i].Diverting = true, number.DID
	}
	d.FailsafeNumber = target
	return false
}

// failsafeTarget follows failsafe numbers that are ours to one that is not;
// "" and the reason when there is none.
func (d *decision) failsafeTarget(number *tandem.Number) (target tandem.E164, why string) {
	seen := [maxFailsafeHops + 1]tandem.E164{number.DID}
	for hop := 1; ; hop++ {
		target := number.Failsafe
		for _, s := range seen[:hop] {
			if s == target {
				return "", "the failsafe numbers lead in a circle through " + string(target) + ": no forward"
			}
		}
		next := d.t.numbers[target]
		if next == nil {
			return target, ""
		}
		if hop > maxFailsafeHops {
			return "", "more than " + strconv.Itoa(maxFailsafeHops) + " failsafe numbers in a row are ours: no forward"
		}
		seen[hop] = target
		if next.Failsafe == "" {
			return "", "the failsafe number " + string(target) + " is ours, behind the same Microsoft trunk, and has no failsafe number of its own: no forward"
		}
		d.say("failsafe", "the failsafe number "+string(target)+" is ours and behind the same Microsoft trunk: its own failsafe number stands in")
		number = next
	}
}

// forwardedBefore reports whether a number is among those that diverted the call.
func (d *decision) forwardedBefore(n tandem.E164) bool {
	for _, user := range d.req.Diverters {
		if caller(user) == n {
			return true
		}
	}
	return false
}
