"""The operator: turns each ChatDeployment into running pods and reports the truth about them in its status."""
