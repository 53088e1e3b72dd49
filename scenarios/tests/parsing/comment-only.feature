# Feature: later
#   Scenario: to be written
